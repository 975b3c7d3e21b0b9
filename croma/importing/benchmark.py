"""A published benchmark as its importer describes it: what it holds, and how one of its images is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from croma.chip import Split
from croma.raster.whole import Ground
from croma.sensors import Role
from croma.shards.dataset import LabelKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """An image with its label, as a benchmark has it, in the units of a dataset."""

    name: str
    """Unique in the benchmark."""
    place: str
    """Images of one place (dates of a pair) share it."""
    radar: npt.NDArray[Any] | None
    """Decibels, (2, height, width): VV, VH. Not finite is nodata. None without radar."""
    optical: dict[int, npt.NDArray[Any]] | None
    """Reflectance × 10,000 by resolution in metres, 0 is nodata: native planes, or `{10: (12, height, width)}`."""
    label: "int | frozenset[int] | npt.NDArray[Any]"
    """Code of the class, codes of the classes, or an image of codes (height, width) with 0 for nodata."""
    ground: Ground | None
    """None where nobody knows."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Columns of the index that the benchmark knows: scenes, times, gap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What one or several samples are read from."""

    name: str
    split: Split
    files: Mapping[str, Path] = field(default_factory=dict)
    """By what they are: s1, s2, label …"""
    label: "int | frozenset[int] | None" = None
    """Where it is not in a file of its own."""
    number: int = 0
    """Position in a file of many."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    refused: tuple[str, str] | None = None
    """Why it is not imported: reason and detail for the ledger."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark that was found in a folder, before any pixel is read."""

    sources: tuple[str, ...]
    """Its name, then the collections its pixels come from."""
    sensors: tuple[Role, ...]
    labels: LabelKind
    classes: Mapping[int, str]
    """Names by code, from 1."""
    image: int
    """Pixels along a side of its images; about as many, where they differ."""
    size: int
    """Pixels along a side of chips, unless told otherwise."""
    native: bool = False
    """Whether bands come at their native resolutions."""
    normalised: bool = False
    """See `croma.shards.dataset.Header`."""
    entries: tuple[Entry, ...]
    """Sorted by name."""
    read: Callable[[Entry], Sequence[Sample]]
    """The samples of an entry. May raise UnusableError."""
