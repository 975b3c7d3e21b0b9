"""A chip: one place, seen by radar and by an optical sensor, close in time, on one pixel grid."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from croma.grid import Cell

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Chip:
    """Pixels of a pair as they are stored.

    Law of alignment: `radar` and all of `optical` share the corner `cell` and cover the same square of ground.
    """

    id: str
    """Unique in a dataset; letters, digits, `_` and `-` only, so that it can be the key of a WebDataset sample."""
    cell: Cell
    radar: npt.NDArray[np.float16]
    """Decibels, shape (2, size, size): VV, VH. NaN is nodata."""
    optical: dict[int, npt.NDArray[np.uint16]]
    """Reflectance × 10,000 by native resolution in metres: shape (bands, size·10/res, size·10/res), 0 is nodata; or
    all bands at 10 m, where nobody has them at their own."""
    label: npt.NDArray[np.uint8] | None
    """Class codes of the pixels, shape (size, size), 0 is nodata; None where there is no such image."""
    facts: dict[str, Any]
    """JSON-ready provenance: times, gap, scene ids, orbits, baselines, quality; the columns of the index say which."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """A pair that became no chip, and why. A value, not an error: it is counted and kept in the ledger."""

    chip: str
    cell: Cell
    reason: str
    """A short fixed word, to count by: cloud, optical-nodata, radar-nodata, no-pair, unreadable …"""
    detail: str
    """What was measured or what went wrong, with the product that caused it."""


def chip_id(cell: Cell, optical_time: datetime, radar_scene: str, optical_scene: str) -> str:
    """The id of a pair at a place: readable place and day, then 8 hex digits that tell the scenes apart."""
    from hashlib import sha256

    tail = sha256(f"{radar_scene}\n{optical_scene}".encode()).hexdigest()[:8]
    return f"{cell}_{optical_time:%Y%m%d}_{tail}"
