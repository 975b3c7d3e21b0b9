"""The dictionaries of tensors that CROMA's author publishes (antofuller/CROMA_benchmarks): preprocessed benchmarks.

    <name>.pt   train_images, train_labels, validation_images, validation_labels

Images are uint8 (n, channels, height, width), normalised by the author and to be divided by 255: twelve optical bands
and then VV and VH (14 channels), or either sensor alone (12 or 2). They are kept as they are, and evaluation divides by
255 instead of normalising. Labels are classes (n,), several of them (n, classes), or masks (n, height, width); classes
count from 0, and what is negative or 255 is nodata. A file says no names of classes, and no places.

As in the published tables `validation` is what is scored; a fifth of `train` is held out by hash to choose settings by.
"""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from croma.chip import Split
from croma.errors import InputError
from croma.importing.benchmark import Benchmark, Entry, Sample
from croma.importing.folders import held_out, none_found
from croma.importing.tensors import read_tensors
from croma.sensors import OPTICAL_CHANNELS, RADAR_CHANNELS, Role
from croma.shards.dataset import LabelKind

NAME = "croma-tensors"
PARTS = ("train", "validation")
SENSORS: dict[int, tuple[Role, ...]] = {
    OPTICAL_CHANNELS + RADAR_CHANNELS: ("radar", "optical"),
    OPTICAL_CHANNELS: ("optical",),
    RADAR_CHANNELS: ("radar",),
}
IGNORED = 255
_MOST = 250
"""Classes that fit into a byte beside nodata."""

_cached = lru_cache(maxsize=2)(read_tensors)


def find(path: Path) -> Benchmark:
    """The images of a file, or of the one .pt file in a folder."""
    files = sorted(path.glob("*.pt")) if path.is_dir() else [path]
    if len(files) != 1:
        raise none_found(NAME, path, "one .pt file" if not files else f"one .pt file, not {len(files)}")
    tensors = _checked(files[0])
    images = {part: tensors[f"{part}_images"] for part in PARTS}
    labels = {part: tensors[f"{part}_labels"] for part in PARTS}
    kind = _kind(labels["train"], files[0])
    names = {part: [f"{part}-{number:06d}" for number in range(len(images[part]))] for part in PARTS}
    select = held_out(names["train"])

    def split(part: str, name: str) -> Split:
        return "test" if part == "validation" else "val" if name in select else "train"

    entries = [
        Entry(name=name, split=split(part, name), files={"tensors": files[0]}, number=number)
        for part in PARTS
        for number, name in enumerate(names[part])
    ]
    side = images["train"].shape[-1]
    return Benchmark(
        sources=(NAME, files[0].stem),
        sensors=SENSORS[images["train"].shape[1]],
        labels=kind,
        classes={code: f"class {code - 1}" for code in range(1, _classes(labels, kind) + 1)},
        image=side,
        size=side,
        normalised=True,
        entries=tuple(sorted(entries, key=lambda entry: entry.name)),
        read=partial(read, kind=kind),
    )


def read(entry: Entry, kind: LabelKind) -> list[Sample]:
    """One image with its label. Optical numbers are kept plus 1, since 0 is nodata in a dataset."""
    tensors, part = _cached(entry.files["tensors"]), entry.name.split("-")[0]
    image = np.asarray(tensors[f"{part}_images"][entry.number])
    label = np.asarray(tensors[f"{part}_labels"][entry.number])
    sensors = SENSORS[len(image)]
    optical = image[:OPTICAL_CHANNELS].astype(np.uint16) + np.uint16(1) if "optical" in sensors else None
    return [
        Sample(
            name=entry.name,
            place=f"{entry.files['tensors'].stem} {entry.name}",
            radar=image[-RADAR_CHANNELS:].astype(np.float32) if "radar" in sensors else None,
            optical=None if optical is None else {10: optical},
            label=_label(label, kind),
            ground=None,
        )
    ]


def _label(label: npt.NDArray[Any], kind: LabelKind) -> "int | frozenset[int] | npt.NDArray[Any]":
    if kind == "class":
        return int(label) + 1
    if kind == "classes":
        return frozenset((np.flatnonzero(label) + 1).tolist())
    return np.where((label < 0) | (label == IGNORED), 0, label.astype(np.int64) + 1).astype(np.uint8)


def _checked(path: Path) -> dict[str, npt.NDArray[Any]]:
    tensors = _cached(path)
    wanted = [f"{part}_{what}" for part in PARTS for what in ("images", "labels")]
    missing = [name for name in wanted if name not in tensors]
    if missing:
        raise InputError(f"{path}: no {', '.join(missing)}; it holds {', '.join(tensors) or 'no tensors'}")
    problems = []
    for part in PARTS:
        images, labels = tensors[f"{part}_images"], tensors[f"{part}_labels"]
        shape = images.shape
        if images.dtype != np.uint8 or images.ndim != 4 or shape[1] not in SENSORS or shape[2] != shape[3]:
            problems.append(
                f"{path}: {part}_images is {images.dtype} {shape}; expected square uint8 images of 14, 12 or 2 channels"
            )
        if len(labels) != len(images) or not len(images):
            problems.append(f"{path}: {len(images)} {part}_images, {len(labels)} {part}_labels")
        if part != PARTS[0] and images.shape[1:] != tensors[f"{PARTS[0]}_images"].shape[1:]:
            problems.append(f"{path}: {part}_images are of another shape than {PARTS[0]}_images")
    if problems:
        raise InputError(*problems)
    return tensors


def _kind(labels: npt.NDArray[Any], path: Path) -> LabelKind:
    kinds: dict[int, LabelKind] = {1: "class", 2: "classes", 3: "mask"}
    if labels.ndim not in kinds:
        raise InputError(f"{path}: train_labels of shape {labels.shape}; expected (n,), (n, classes) or (n, h, w)")
    return kinds[labels.ndim]


def _classes(labels: dict[str, npt.NDArray[Any]], kind: LabelKind) -> int:
    if kind == "classes":
        return int(labels["train"].shape[1])
    highest = 0
    for part in labels.values():
        for start in range(0, len(part), 4096):
            some = part[start : start + 4096]
            known = some[(some >= 0) & (some != IGNORED)] if kind == "mask" else some
            highest = max(highest, int(known.max(initial=0)))
    if highest > _MOST:
        raise InputError(f"labels go up to {highest}; at most {_MOST} classes can be kept")
    return highest + 1
