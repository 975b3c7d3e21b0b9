"""What a probe is given and what it answers."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor


class Part(NamedTuple):
    """Embeddings of a split with their labels."""

    features: Tensor
    """float32 (n, d)."""
    labels: Tensor
    """int64 (n,) class numbers, or bool (n, C) where a chip may have several."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A task on frozen embeddings."""

    fit: Part
    """To learn from."""
    select: Part
    """To choose settings by."""
    score: Part
    """To be judged on. Probes see its features alone."""
    classes: int

    @property
    def several(self) -> bool:
        """Whether a chip may have several labels."""
        return self.fit.labels.ndim == 2


class Prediction(NamedTuple):
    """A probe's answer."""

    scores: Tensor
    """float (n, C) for the chips to be scored, more is likelier; probabilities, so that 0.5 divides yes from no."""
    note: str = ""
    """What was chosen on the selection split."""


def standardise(problem: Problem) -> Problem:
    """Features with mean 0 and standard deviation 1 over the fit split; a feature that never varies becomes 0."""
    mean, std = problem.fit.features.mean(0), problem.fit.features.std(0, correction=0)
    gain = torch.where(std > 1e-6 * mean.abs() + 1e-12, 1 / std, 0.0)

    def scaled(part: Part) -> Part:
        return part._replace(features=(part.features - mean) * gain)

    return Problem(
        fit=scaled(problem.fit), select=scaled(problem.select), score=scaled(problem.score), classes=problem.classes
    )


def with_few(problem: Problem, share: float, seed: int) -> Problem:
    """The problem with a share of the labels of every class to learn from, at least one.

    A seed draws the same chips from equal labels; smaller shares lie within larger ones.
    """
    if share == 1:
        return problem
    labels = problem.fit.labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    rows = first_of_each_class(labels, order, share)
    return replace(problem, fit=Part(problem.fit.features[rows], labels[rows]))


def first_of_each_class(labels: Tensor, order: Tensor, share: float) -> Tensor:
    """Rows, ascending, of the first chips of every class in `order`: a share of them, at least one.

    `labels` are as of `Part`; of several, a chip counts for its first.
    """
    numbers = labels if labels.ndim == 1 else labels.int().argmax(1)
    chosen = []
    for number in torch.unique(numbers):
        members = order[numbers[order] == number]
        chosen.append(members[: max(1, round(len(members) * share))])
    return torch.cat(chosen).sort().values


def targets(labels: Tensor, classes: int) -> Tensor:
    """Labels as float32 (n, C): one-hot, or as they are where a chip may have several."""
    return torch.nn.functional.one_hot(labels, classes).float() if labels.ndim == 1 else labels.float()
