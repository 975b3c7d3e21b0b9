"""The bench on which encoders are measured: one task, one set of bootstrap draws, embeddings made once."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from croma.errors import InputError
from croma.evaluation import metrics
from croma.evaluation.bootstrap import Draws, block_of, draw_blocks
from croma.evaluation.embed import embed
from croma.evaluation.encoders import Encoder
from croma.evaluation.labels import Labelled, Task
from croma.evaluation.problem import Part, Prediction, Problem, standardise
from croma.evaluation.spec import EvalSpec
from croma.sensors import Modality
from croma.shards.dataset import Dataset


class Outcome(NamedTuple):
    """What a protocol measured."""

    values: Mapping[str, metrics.Floats]
    """By metric, one value for every bootstrap draw, the first over all chips."""
    n: int
    """Chips scored."""
    note: str
    prediction: Tensor | None = None
    """float (chips of the score split, classes), NaN for chips left out; None for protocols that predict no class."""
    by_class: Mapping[str, float] = MappingProxyType({})
    """F1 of each class, or IoU of its pixels."""


class Trial(NamedTuple):
    """A task on the embeddings of one encoder."""

    problem: Problem
    scored: metrics.Bools
    """(chips of the score split,). Which are in the problem: those with a finite embedding."""


@dataclass(kw_only=True)
class Bench:
    """Shared by all protocols of an evaluation."""

    dataset: Dataset
    task: Task
    spec: EvalSpec
    root: str
    """Of storage, where embeddings are kept."""
    exclusions: Counter[str] = field(default_factory=Counter)
    """Chips left out because their embedding is not finite, by `split/reason`."""
    _vectors: dict[tuple[str, str], dict[Modality, Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.block = block_of(self.task.score.rows, self.spec.bootstrap.block_km)
        """(chips of the score split,). Block numbers."""
        self.blocks = int(self.block.max()) + 1
        self.draws: Draws = draw_blocks(self.blocks, self.spec.bootstrap)

    def vectors(self, encoder: Encoder, part: Labelled, split: str) -> dict[Modality, Tensor]:
        """Pooled embeddings of a split, (n, d) by modality."""
        key = (encoder.fingerprint("pooled"), split)
        if key not in self._vectors:
            wanted = [modality for modality in self.spec.embedded if modality in encoder.modalities]
            self._vectors[key] = embed(encoder, self.dataset, part.rows, wanted, self.root, batch=self.spec.batch)
        return self._vectors[key]

    def trial(self, encoder: Encoder, modality: Modality) -> Trial:
        """The task on the embeddings of a modality, without chips whose embedding is not finite."""
        parts, kept = [], []
        for labelled, split in self.parts():
            finite = self.finite(encoder, labelled, split, [modality])
            vectors = self.vectors(encoder, labelled, split)[modality]
            parts.append(Part(vectors[finite], labelled.labels[finite]))
            kept.append(finite.numpy())
        problem = Problem(fit=parts[0], select=parts[1], score=parts[2], classes=len(self.task.classes))
        return Trial(standardise(problem) if encoder.standardise else problem, kept[2])

    def parts(self) -> list[tuple[Labelled, str]]:
        """The chips to fit on, to select by and to score, each with the name of its split."""
        task, names = self.task, self.spec.splits
        return [(task.fit, names.fit), (task.select, names.select), (task.score, names.score)]

    def finite(self, encoder: Encoder, part: Labelled, split: str, modalities: Sequence[Modality]) -> Tensor:
        """Bool (n,): chips of a split whose embeddings of all of `modalities` are finite. The others are counted.

        Raises:
            InputError: none is.
        """
        vectors = self.vectors(encoder, part, split)
        finite = torch.stack([vectors[modality].isfinite().all(1) for modality in modalities]).all(0)
        if broken := int((~finite).sum()):
            self.exclusions[f"{split}/{encoder.name} {' and '.join(modalities)} embedding not finite"] = broken
        if not finite.any():
            raise InputError(f"no finite {' and '.join(modalities)} embedding of {encoder.name} in split {split}")
        return finite


def measure_probe(
    bench: Bench, encoder: Encoder, modality: Modality, predict: Callable[[Problem, int], Prediction], seeded: bool
) -> Outcome:
    """Fit a probe and score it: with every seed where it is `seeded`, else with the first, since all are alike.

    Values are means over seeds, the prediction is the first seed's.
    """
    trial = bench.trial(encoder, modality)
    answers = [predict(trial.problem, seed) for seed in (bench.spec.seeds if seeded else bench.spec.seeds[:1])]
    truth, block = trial.problem.score.labels.numpy(), bench.block[trial.scored]
    each = [score_prediction(truth, answer.scores, trial.problem.classes, block, bench.draws) for answer in answers]
    values = {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}
    whole = torch.full((len(bench.block), trial.problem.classes), torch.nan)
    whole[torch.from_numpy(trial.scored)] = answers[0].scores
    by_class = class_f1(truth, answers[0].scores, bench.task.classes)
    return Outcome(values, len(truth), answers[0].note, whole, by_class)


def class_f1(truth: npt.NDArray[Any], scores: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """F1 of each class that is true or said somewhere; `truth` and `scores` as for `score_prediction`."""
    said = one_hot(scores.argmax(1), len(classes)).numpy() if truth.ndim == 1 else (scores > 0.5).numpy()
    true = np.eye(len(classes), dtype=np.int64)[truth] if truth.ndim == 1 else truth
    hits, either = (true & said).sum(0), true.sum(0) + said.sum(0)
    return {name: float(2 * hit / both) for name, hit, both in zip(classes, hits, either, strict=True) if both}


def score_prediction(
    truth: npt.NDArray[Any], scores: Tensor, classes: int, block: metrics.Ints, draws: Draws
) -> metrics.Values:
    """Metrics of class scores (n, C) against `truth`: int64 (n,), or bool (n, C) where a chip may have several."""
    if truth.ndim == 1:
        return metrics.classification(truth, scores.argmax(1).numpy(), classes, block, draws)
    return metrics.multilabel(truth, scores.double().numpy(), 0.5, block, draws)
