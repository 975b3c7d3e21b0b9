"""Fine-tuning end to end, with all labels or a few: how good a start the weights are.

Layers near the input learn slower than those near the head (layer-wise decay, Clark et al. 2020). Rate and epoch are
chosen on the selection split. Chips are turned and mirrored, as in pretraining.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from croma.batches.batch import Batch, RawBatch
from croma.batches.spec import Augmentation
from croma.evaluation.bench import Bench, Outcome, score_prediction
from croma.evaluation.embed import read_batches
from croma.evaluation.encoders import Network
from croma.evaluation.labels import Labelled, few
from croma.evaluation.metrics import Floats
from croma.evaluation.modalities import pooled
from croma.evaluation.spec import FineTune
from croma.sensors import Modality


def measure(bench: Bench, encoder: Network, modality: Modality, spec: FineTune) -> Outcome:
    """The bench's metrics for each share of the labels: `top1-at-1` with one percent of them."""
    values: dict[str, Floats] = {}
    notes = []
    truth, classes = bench.task.score.labels.numpy(), len(bench.task.classes)
    for share in spec.shares:
        percent = f"{share * 100:g}".replace(".", "_")
        found = []
        for seed in bench.spec.seeds:
            run = _Run(bench=bench, encoder=encoder, modality=modality, spec=spec, seed=seed)
            best = max((run.train(share, rate) for rate in spec.learning_rates), key=lambda each: each.worth)
            found.append(score_prediction(truth, best.scores, classes, bench.block, bench.draws))
            notes.append(f"{percent} %: {best.note}")
        values |= {f"{name}-at-{percent}": np.mean([one[name] for one in found], axis=0) for name in found[0]}
    return Outcome(values, len(truth), "; ".join(notes))


class _Best(NamedTuple):
    worth: float
    """Accuracy (or F1) on the selection split."""
    scores: Tensor
    """(n, C) probabilities of the score split."""
    note: str


class Tuned(Protocol):
    """A network below `body` with a head on one of its modalities."""

    modality: Modality

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """As of every module."""
        ...


class Classifier(nn.Module):
    """The network with a linear head on the pooled vector of one modality."""

    def __init__(self, encoder: Network, modality: Modality, classes: int) -> None:
        super().__init__()
        self.body = copy.deepcopy(encoder.model)
        self.modality = modality
        with torch.no_grad():
            size = encoder.model.spec.patch * 2
            width = self._vectors(torch.zeros(1, 2, size, size), torch.zeros(1, 12, size, size)).shape[1]
        self.head = nn.Linear(width, classes)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (b, C)."""
        logits: Tensor = self.head(self._vectors(batch.radar, batch.optical))
        return logits

    def _vectors(self, radar: Tensor, optical: Tensor) -> Tensor:
        found = self.body(
            radar=None if self.modality == "optical" else radar,
            optical=None if self.modality == "radar" else optical,
        )
        return pooled(found, self.modality)


@dataclass(kw_only=True)
class _Run:
    """Fine-tuning with one seed."""

    bench: Bench
    encoder: Network
    modality: Modality
    spec: FineTune
    seed: int

    def train(self, share: float, rate: float) -> _Best:
        """The best epoch at one learning rate."""
        task, device = self.bench.task, self.encoder.device
        generator = torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = Classifier(self.encoder, self.modality, len(task.classes)).to(device)
        optimiser = torch.optim.AdamW(layer_rates(model, rate, self.spec.layer_decay), weight_decay=0.05)
        chosen = few(task.fit, share, self.seed)
        best = _Best(-1.0, torch.zeros(0), "")
        for epoch in range(1, self.spec.epochs + 1):
            model.train()
            for batch, labels in self._shuffled(task.fit, chosen, generator):
                optimiser.zero_grad()
                _loss(model(batch), labels.to(device)).backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
            worth = _worth(self._say(model, task.select), task.select.labels)
            if worth > best.worth:
                best = _Best(worth, self._say(model, task.score), f"rate={rate:g} epoch={epoch}")
        return best

    def _shuffled(self, part: Labelled, chosen: Tensor, generator: torch.Generator) -> Iterator[tuple[Batch, Tensor]]:
        """Chips in a new order, turned as fresh keys say."""
        order = chosen[torch.randperm(len(chosen), generator=generator)]
        size = self.encoder.image_size
        side = min(size, self.bench.dataset.header.chip_size)
        turns = Augmentation(crop=(side, side), turns=True)
        for number, raw in enumerate(self._read(part.rows.take(order.numpy()))):
            raw = raw._replace(keys=torch.randint(1 << 62, (len(raw.ids),), generator=generator))
            labels = part.labels[order[number * self.spec.batch :][: self.spec.batch]]
            yield on_device(self.encoder.scaling.images(raw, size, turns), self.encoder.device), labels

    @torch.no_grad()
    def _say(self, model: Classifier, part: Labelled) -> Tensor:
        """Probabilities (n, C) of a split."""
        model.eval()
        found = []
        for raw in self._read(part.rows):
            batch = self.encoder.scaling.images(raw, self.encoder.image_size)
            logits = model(on_device(batch, self.encoder.device)).cpu()
            found.append(logits.softmax(1) if part.labels.ndim == 1 else logits.sigmoid())
        return torch.cat(found)

    def _read(self, rows: pa.Table) -> Iterator[RawBatch]:
        return read_batches(self.bench.dataset, rows.to_pylist(), self.spec.batch)


def layer_rates(model: Tuned, rate: float, decay: float) -> list[dict[str, Any]]:
    """Parameter groups: the head learns at `rate`, each block below at `decay` times the rate of the one above.

    Networks without blocks (ResNets) learn at `rate` everywhere.
    """
    names = [name for name, _ in model.named_parameters()]
    depths: dict[str, int] = {}
    for name in names:
        if block := re.match(r"body\.(.+)\.blocks\.(\d+)\.", name):
            depths[block[1]] = max(depths.get(block[1], 0), int(block[2]) + 1)
    groups: dict[int, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        groups.setdefault(_blocks_above(name, depths, model.modality), []).append(parameter)
    return [{"params": members, "lr": rate * decay**above} for above, members in sorted(groups.items())]


def _blocks_above(name: str, depths: dict[str, int], modality: Modality) -> int:
    """How many blocks lie between a parameter and the head."""
    encoder = next((each for each in depths if name.startswith(f"body.{each}.")), None)
    if encoder is None:
        return 0  # the head and the pools
    on_top = depths.get("joint_encoder", 0) if modality == "joint" and encoder != "joint_encoder" else 0
    block = re.search(r"\.blocks\.(\d+)\.", name)
    if block is None:
        return on_top + (depths[encoder] + 1 if ".embed." in name else 0)
    return on_top + depths[encoder] - int(block[1])


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its images on `device`."""
    return batch._replace(radar=batch.radar.to(device), optical=batch.optical.to(device))


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    if labels.ndim == 1:
        return cross_entropy(logits, labels)
    return binary_cross_entropy_with_logits(logits, labels.float())


def _worth(scores: Tensor, labels: Tensor) -> float:
    if labels.ndim == 1:
        return float((scores.argmax(1) == labels).float().mean())
    said = scores > 0.5
    return float(2 * (said & labels).sum() / max(int(said.sum() + labels.sum()), 1))
