"""Segmentation with the whole network trained further, on all labels or a few: how good a start the weights are.

The head is one of `segmentation`'s on the patch encodings; layers near the input learn slower. Images and their masks
are cropped, turned and mirrored alike. Rate and epoch are chosen on the selection split by mIoU.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from croma.batches.augment import Window, draw_window
from croma.batches.batch import Batch
from croma.batches.spec import Augmentation
from croma.errors import InputError
from croma.evaluation.bench import Bench, Outcome
from croma.evaluation.embed import read_batches
from croma.evaluation.encoders import Network
from croma.evaluation.finetune import layer_rates, on_device
from croma.evaluation.heads import make_head
from croma.evaluation.labels import Labelled, few, sample
from croma.evaluation.maps import IGNORED, blocks_of, confusion_by_block, label_images, numbered
from croma.evaluation.metrics import from_confusion
from croma.evaluation.modalities import patches
from croma.evaluation.segmentation import at_shares, outcome_of
from croma.evaluation.spec import FineTuneSegmentation, HeadKind
from croma.sensors import Modality
from croma.shards.classes import names_of
from croma.shards.reader import read_chips


def measure(bench: Bench, encoder: Network, modality: Modality, spec: FineTuneSegmentation) -> Outcome:
    """miou, pixel-accuracy and macro-f1 for each share of the labels: `miou-at-1` with one percent of them."""
    codes = _codes(bench)
    run = _Run(bench=bench, encoder=encoder, modality=modality, spec=spec, codes=codes)
    names = names_of(bench.dataset.header, codes)

    def at(share: float) -> Outcome:
        found = [
            max((run.train(share, rate, seed) for rate in spec.learning_rates), key=lambda each: each.worth)
            for seed in bench.spec.seeds
        ]
        each = [outcome_of(bench, best.counts, best.n, best.note, names) for best in found]
        values = {name: np.mean([one.values[name] for one in each], axis=0) for name in each[0].values}
        return each[0]._replace(values=values)

    return at_shares(spec.shares, at)


def _codes(bench: Bench) -> tuple[int, ...]:
    """Codes that pixels of the fit split have, ascending, as the index tells them."""
    shares = bench.task.fit.rows["label_shares"].to_pylist()
    codes = tuple(sorted({code for found in shares for code, _ in found}))
    if len(codes) < 2:
        raise InputError(
            f"dataset {bench.dataset.ref}: the labels of the fit split have {len(codes)} class; two needed"
        )
    return codes


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


@dataclass(kw_only=True)
class _Run:
    bench: Bench
    encoder: Network
    modality: Modality
    spec: FineTuneSegmentation
    codes: Sequence[int]

    def train(self, share: float, rate: float, seed: int) -> _Best:
        """The best epoch at one learning rate."""
        task, device = self.bench.task, self.encoder.device
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = Segmenter(self.encoder, self.modality, len(self.codes), self.spec.head).to(device)
        optimiser = torch.optim.AdamW(layer_rates(model, rate, self.spec.layer_decay), weight_decay=0.05)
        chosen = few(task.fit, share)
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
            counts, _ = self._counts(model, task.select, scored=False)
            worth = float(from_confusion(counts)["miou"][0])
            if worth > best.worth:
                scored, n = self._counts(model, task.score, scored=True)
                best = _Best(worth, scored, n, f"rate={rate:g} epoch={epoch}")
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
    def _counts(self, model: Segmenter, part: Labelled, *, scored: bool) -> tuple[np.ndarray, int]:
        """Pixels by true and said class, by block of the bench where they are scored."""
        model.eval()
        rows, size = sample(part.rows, self.spec.chips), self.encoder.image_size
        said = torch.cat(list(self._say(model, rows)))
        labels = numbered(label_images(self.bench.dataset, rows, size), self.codes)
        block = blocks_of(self.bench, rows) if scored else np.zeros(rows.num_rows, np.int64)
        blocks = self.bench.blocks if scored else 1
        return confusion_by_block(said, labels, len(self.codes), block, blocks), rows.num_rows

    def _say(self, model: Segmenter, rows: pa.Table) -> Iterator[Tensor]:
        for raw in read_batches(self.bench.dataset, rows.to_pylist(), self.spec.batch):
            batch = self.encoder.scaling.images(raw, self.encoder.image_size)
            yield model(on_device(batch, self.encoder.device)).argmax(1).cpu()


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
