"""Segmentation with the whole network trained further, on all labels or a few: how good a start the weights are.

The head is one of `segmentation`'s on the patch encodings; layers near the input learn slower. Images and their masks
are cropped, turned and mirrored alike. Rate and epoch are chosen on the selection split by mIoU.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from croma.batches.augment import Window, draw_window
from croma.batches.batch import Batch, RawBatch
from croma.batches.spec import Augmentation
from croma.evaluation.bench import Bench, Outcome
from croma.evaluation.embed import read_batches
from croma.evaluation.encoders import Network
from croma.evaluation.finetune import layer_rates, on_device
from croma.evaluation.heads import classes_of, make_head
from croma.evaluation.labels import Labelled, few, sample
from croma.evaluation.maps import (
    IGNORED,
    blocks_of,
    confusion_by_block,
    label_images,
    names_of_pixels,
    numbered,
    told_apart,
)
from croma.evaluation.metrics import from_confusion
from croma.evaluation.modalities import patches
from croma.evaluation.segmentation import at_shares, averaged, outcome_of
from croma.evaluation.spec import FineTuneSegmentation, HeadKind
from croma.sensors import Modality
from croma.shards.reader import read_chips


def measure(bench: Bench, encoder: Network, modality: Modality, spec: FineTuneSegmentation) -> Outcome:
    """miou, pixel-accuracy and macro-f1 for each share of the labels: `miou-at-1` with one percent of them."""
    codes = _codes(bench, spec.told)
    run = _Run(bench=bench, encoder=encoder, modality=modality, spec=spec, codes=codes)
    names = names_of_pixels(bench, codes)

    def at(share: float) -> Outcome:
        found = [
            max((run.train(share, rate, seed) for rate in spec.learning_rates), key=lambda each: each.worth)
            for seed in bench.spec.seeds
        ]
        return averaged([outcome_of(bench, best.counts, best.n, best.note, names) for best in found])

    return at_shares(spec.shares, at)


def _codes(bench: Bench, told: Sequence[int]) -> tuple[int, ...]:
    """Codes that pixels of the fit split have, ascending, as the index tells them; or those `told` and the rest."""
    shares = bench.task.fit.rows["label_shares"].to_pylist()
    return told_apart(bench, tuple(sorted({code for found in shares for code, _ in found})), told)


class Segmenter(nn.Module):
    """The network with a head from the patch encodings of one modality to the classes of pixels."""

    def __init__(self, encoder: Network, modality: Modality, classes: int, head: HeadKind) -> None:
        super().__init__()
        self.body = copy.deepcopy(encoder.model)
        self.modality = modality
        patch = encoder.model.spec.patch
        with torch.no_grad():
            width = self._tokens(
                torch.zeros(1, 2, 2 * patch, 2 * patch), torch.zeros(1, 12, 2 * patch, 2 * patch)
            ).shape[2]
        self.head = make_head(head, width, classes, patch)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (b, C, h, w)."""
        logits: Tensor = self.head(self._tokens(batch.radar, batch.optical))
        return logits

    def _tokens(self, radar: Tensor, optical: Tensor) -> Tensor:
        device = next(self.body.parameters()).device
        found = self.body(
            radar=None if self.modality == "optical" else radar.to(device),
            optical=None if self.modality == "radar" else optical.to(device),
        )
        return patches(found, self.modality)


class _Best(NamedTuple):
    worth: float
    """mIoU on the selection split."""
    counts: np.ndarray
    """(blocks, C, C) of the score split."""
    n: int
    note: str


class _Chips(NamedTuple):
    """Of a split, as they are stored: every epoch looks at them."""

    batches: Sequence[RawBatch]
    labels: Tensor
    """int64 (n, size, size)."""
    block: np.ndarray
    """(n,). Block numbers on the bench; only right for the score split."""


@dataclass(kw_only=True)
class _Run:
    bench: Bench
    encoder: Network
    modality: Modality
    spec: FineTuneSegmentation
    codes: Sequence[int]

    @cached_property
    def _select(self) -> _Chips:
        return self._load(self.bench.task.select)

    @cached_property
    def _score(self) -> _Chips:
        return self._load(self.bench.task.score)

    def _load(self, part: Labelled) -> _Chips:
        dataset, rows = self.bench.dataset, sample(part.rows, self.spec.chips)
        block = blocks_of(self.bench, rows) if part is self.bench.task.score else np.zeros(rows.num_rows, np.int64)
        labels = numbered(label_images(dataset, rows, self.encoder.image_size), self.codes)
        batches = read_batches(dataset, rows.to_pylist(), max(1, self.bench.spec.batch // 4))
        return _Chips(list(batches), labels, block)

    def train(self, share: float, rate: float, seed: int) -> _Best:
        """The best epoch at one learning rate."""
        task, device = self.bench.task, self.encoder.device
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = Segmenter(self.encoder, self.modality, len(self.codes), self.spec.head).to(device)
        optimiser = torch.optim.AdamW(layer_rates(model, rate, self.spec.layer_decay), weight_decay=0.05)
        chosen = few(task.fit, share, seed)
        best = _Best(-1.0, np.zeros(0), 0, "")
        for epoch in range(1, self.spec.epochs + 1):
            model.train()
            for batch, labels in self._shuffled(task.fit, chosen, generator):
                if not (labels != IGNORED).any():
                    continue
                optimiser.zero_grad()
                cross_entropy(model(batch), labels.to(device), ignore_index=IGNORED).backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
            worth = float(from_confusion(self._counts(model, self._select, 1))["miou"][0])
            if worth > best.worth:
                scored = self._counts(model, self._score, self.bench.blocks)
                best = _Best(worth, scored, len(self._score.labels), f"rate={rate:g} epoch={epoch}")
        return best

    def _shuffled(self, part: Labelled, chosen: Tensor, generator: torch.Generator) -> Iterator[tuple[Batch, Tensor]]:
        """Chips in a new order, with their masks, both cropped and turned as fresh keys say."""
        order = chosen[torch.randperm(len(chosen), generator=generator)]
        rows = part.rows.take(order.numpy()).to_pylist()
        chip, size = self.bench.dataset.header.chip_size, self.encoder.image_size
        side = min(size, chip)
        turns = Augmentation(crop=(side, side), turns=True)
        masks = read_chips(self.bench.dataset, rows)
        for raw in read_batches(self.bench.dataset, rows, self.spec.batch):
            keys = torch.randint(1 << 62, (len(raw.ids),), generator=generator)
            raw = raw._replace(keys=keys)
            planes = np.stack([next(masks)["label"] for _ in raw.ids])
            labels = turned(numbered(planes, self.codes), draw_window(keys, chip, turns), size)
            yield on_device(self.encoder.scaling.images(raw, size, turns), self.encoder.device), labels

    @torch.no_grad()
    def _counts(self, model: Segmenter, chips: _Chips, blocks: int) -> np.ndarray:
        """Pixels by block, true and said class."""
        model.eval()
        images = (self.encoder.scaling.images(raw, self.encoder.image_size) for raw in chips.batches)
        said = torch.cat([classes_of(model(on_device(batch, self.encoder.device))).cpu() for batch in images])
        return confusion_by_block(said, chips.labels, len(self.codes), chips.block, blocks)


def turned(labels: Tensor, window: Window, size: int) -> Tensor:
    """Masks (b, chip, chip) as `augment` shows their chips, (b, size, size), by the nearest pixel."""
    rows = _nearest(window.top, window.side, size, window.flip)
    columns = _nearest(window.left, window.side, size, window.mirror)
    count = torch.arange(len(labels))[:, None, None]
    found = labels[count, rows[:, :, None], columns[:, None, :]]
    return torch.where(window.transpose[:, None, None], found.transpose(1, 2), found)


def _nearest(start: Tensor, side: Tensor, size: int, backwards: Tensor) -> Tensor:
    """(b, size): the input line nearest to the centre of each output line."""
    output = torch.arange(size)
    output = torch.where(backwards[:, None], size - 1 - output, output)
    return start[:, None] + (2 * output + 1) * side[:, None] // (2 * size)
