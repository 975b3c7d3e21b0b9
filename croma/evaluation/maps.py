"""Land cover pixel by pixel: encodings of patches with the label images of the same chips."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from croma.errors import InputError
from croma.evaluation import metrics
from croma.evaluation.bench import Bench
from croma.evaluation.embed import embed
from croma.evaluation.encoders import Encoder
from croma.evaluation.labels import Labelled, sample
from croma.evaluation.problem import first_of_each_class
from croma.sensors import Modality
from croma.shards.classes import names_of
from croma.shards.dataset import Dataset
from croma.shards.reader import read_chips

IGNORED = -1
"""Class number of pixels that are not labelled, or whose class the fit split has not."""

REST = 256
"""Stands for all codes that are not told apart; no label is so large."""


class Maps(NamedTuple):
    """Chips of a split for segmentation."""

    tokens: Tensor
    """float32 (n, patches, d), patches row by row."""
    labels: Tensor
    """int64 (n, size, size): class numbers, or `IGNORED`."""
    block: metrics.Ints
    """(n,). Block numbers on the bench; only right for the score split."""


def load_maps(
    bench: Bench, encoder: Encoder, modality: Modality, part: Labelled, codes: Sequence[int], limit: int, size: int
) -> Maps:
    """The maps of at most `limit` chips, `size` px along a side; chips whose encodings are not finite are left out.

    Raises:
        InputError: none is left.
    """
    rows = sample(part.rows, limit)
    found = embed(
        encoder, bench.dataset, rows, [modality], bench.root, layer="patches", batch=max(1, bench.spec.batch // 4)
    )
    tokens = found[modality]
    finite = tokens.isfinite().all(2).all(1)
    if not finite.any():
        raise InputError(f"no finite {modality} patch encoding of {encoder.name}")
    labels = numbered(label_images(bench.dataset, rows, size), codes)
    block = blocks_of(bench, rows) if part is bench.task.score else np.zeros(rows.num_rows, np.int64)
    return Maps(tokens[finite], labels[finite], block[finite.numpy()])


def draw(maps: Maps, share: float, seed: int) -> Maps:
    """A share of the chips, drawn apart for each class that is a chip's commonest, at least one each.

    A class that none of them shows brings the first chip that shows it.
    """
    order = torch.randperm(len(maps.labels), generator=torch.Generator().manual_seed(seed))
    pixels = maps.labels.flatten(1)
    rows = first_of_each_class(pixels.mode(dim=1).values, order, share)
    for number in torch.unique(maps.labels).tolist():
        showing = (pixels == number).any(1)
        if number != IGNORED and not showing[rows].any():
            rows = torch.cat([rows, order[showing[order]][:1]])
    rows = rows.sort().values
    return Maps(maps.tokens[rows], maps.labels[rows], maps.block[rows.numpy()])


def pixel_codes(bench: Bench, limit: int, size: int, told: Sequence[int] = ()) -> tuple[int, ...]:
    """Codes that the pixels of the fit split have, ascending, nodata left out; or those `told`, then `REST`.

    Raises:
        InputError: there are fewer than two, or one that is told is not among them.
    """
    images = label_images(bench.dataset, sample(bench.task.fit.rows, limit), size)
    return told_apart(bench, tuple(int(code) for code in np.unique(images) if code), told)


def told_apart(bench: Bench, codes: tuple[int, ...], told: Sequence[int]) -> tuple[int, ...]:
    """All of the `codes` of the fit split's pixels, or those `told`, then `REST`; raises as `pixel_codes`."""
    if len(codes) < 2:
        raise InputError(
            f"dataset {bench.dataset.ref}: the labels of the fit split have {len(codes)} class; two are needed"
        )
    if missing := sorted(set(told) - set(codes)):
        raise InputError(
            f"dataset {bench.dataset.ref}: no pixel of the fit split has the class {missing[0]}, which is to be told "
            f"from the rest; there are {list(codes)}"
        )
    return (*told, REST) if told else codes


def names_of_pixels(bench: Bench, codes: Sequence[int]) -> tuple[str, ...]:
    """A name for each of the codes that `pixel_codes` gave."""
    names = names_of(bench.dataset.header, codes)
    return tuple("rest" if code == REST else name for code, name in zip(codes, names, strict=True))


def label_images(dataset: Dataset, rows: pa.Table, size: int) -> npt.NDArray[np.uint8]:
    """The label planes (n, size, size) as the encoder sees the chips: their middle, small chips enlarged."""
    return np.stack([_middle(planes["label"], size) for planes in read_chips(dataset, rows.to_pylist())])


def confusion_by_block(said: Tensor, labels: Tensor, classes: int, block: metrics.Ints, blocks: int) -> metrics.Floats:
    """Pixels counted by block, true class and predicted class, (blocks, C, C); `said` and `labels` are (n, h, w)."""
    counts = np.zeros((blocks, classes * classes))
    for truth, guess, number in zip(labels.numpy(), said.numpy(), block, strict=True):
        valid = truth != IGNORED
        counts[number] += np.bincount(truth[valid] * classes + guess[valid], minlength=classes * classes)
    return counts.reshape(blocks, classes, classes)


def segmentation_values(counts: metrics.Floats, bench: Bench) -> Mapping[str, metrics.Floats]:
    """miou, pixel accuracy and macro F1 of counts by block, for every draw of the bench."""
    classes = counts.shape[1]
    matrices = (bench.draws @ counts.reshape(len(counts), -1)).reshape(-1, classes, classes)
    found = metrics.from_confusion(matrices)
    return {"miou": found["miou"], "pixel-accuracy": found["top1"], "macro-f1": found["macro-f1"]}


def _middle(plane: npt.NDArray[Any], size: int) -> npt.NDArray[np.uint8]:
    side = min(len(plane), size)
    start = (len(plane) - side) // 2
    crop = plane[start : start + side, start : start + side]
    nearest = (np.arange(size) * 2 + 1) * side // (2 * size)
    return np.asarray(crop[np.ix_(nearest, nearest)], np.uint8)


def numbered(images: npt.NDArray[np.uint8], codes: Sequence[int]) -> Tensor:
    """Codes of pixels as class numbers, int64: `IGNORED` for nodata and for what is not among `codes`.

    Where `REST` is among them, every other code is of that class.
    """
    table = np.full(REST + 1, IGNORED, np.int64)
    table[1:] = codes.index(REST) if REST in codes else IGNORED
    table[list(codes)] = range(len(codes))
    return torch.from_numpy(table[images])


def blocks_of(bench: Bench, rows: pa.Table) -> metrics.Ints:
    """The bench's block numbers of some of its scored chips."""
    numbers = dict(zip(bench.task.score.rows["chip"].to_pylist(), bench.block, strict=True))
    return np.array([numbers[chip] for chip in rows["chip"].to_pylist()], np.int64)
