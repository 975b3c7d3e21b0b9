"""A look at the pixels of some chips of a version: what the automatic checks judge."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from croma.building.report.alignment import Floats, fits
from croma.keyed import hashed
from croma.raster.offset import offset_left_in
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A, Band
from croma.shards.dataset import Dataset
from croma.shards.layout import optical_by_resolution
from croma.shards.reader import read_chip

CHIPS = 800
"""Looked at; some seconds of one machine."""

_THREADS = 16
_GREEN, _RED, _INFRARED = 1, 2, 3
"""Among the 10 m bands."""

Planes = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What the pixels of a chip show."""

    row: Mapping[str, Any]
    """Of the index."""
    offset: bool | None
    """See `croma.raster.offset.offset_left_in`."""
    clipped: float
    """Share of measured pixels that hold 1, the darkest number there is, in green."""
    blank: tuple[str, ...]
    """Bands without a measurement, or with one number everywhere."""
    hashes: tuple[str, str]
    """Of all radar and of all optical pixels."""
    fits: Floats | None
    """See `croma.building.report.alignment.fits`."""


def look(dataset: Dataset, chips: int = CHIPS) -> list[Look]:
    """Look at up to `chips` chips, spread over all pairs of scenes; always the same ones of a version.

    Raises:
        ContractError: a chip is damaged.
    """
    rows = dataset.rows.take(chosen(dataset.rows, chips)).to_pylist()
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda row: examine(row, read_chip(dataset.ref.uri, row, dataset.layout)), rows))


def chosen(rows: pa.Table, count: int) -> npt.NDArray[np.int64]:
    """Numbers of up to `count` rows, ascending: of every pair of scenes one, then of every pair another, and so on."""
    pair = scene_pairs(rows)
    draw = hashed(0, np.arange(rows.num_rows))
    order = np.lexsort((draw, pair))
    turn = np.arange(len(order)) - np.searchsorted(pair[order], pair[order])
    # Of equal turns the first in the draw, so that a short look is not at the first scenes alone.
    return np.sort(order[np.lexsort((draw[order], turn))][:count])


def scene_pairs(rows: pa.Table) -> npt.NDArray[np.int64]:
    """A number for each row that rows of the same two scenes share."""
    pair = np.zeros(rows.num_rows, np.int64)
    for name in ("optical_scene", "radar_scene"):
        codes = rows[name].combine_chunks().dictionary_encode()
        pair = pair * max(len(codes.dictionary), 1) + codes.indices.to_numpy(zero_copy_only=False)
    return pair


def examine(row: Mapping[str, Any], planes: Planes) -> Look:
    """What the planes of a chip show."""
    fine = planes["s2_10m"]
    green = fine[_GREEN][fine[_GREEN] != 0]
    optical = optical_by_resolution(planes)
    return Look(
        row=row,
        offset=offset_left_in(fine[_RED], fine[_INFRARED]),
        clipped=float((green == 1).mean()) if green.size else 0.0,
        blank=tuple(band.name for band, pixels in _bands(planes) if pixels.size == 0 or pixels.min() == pixels.max()),
        hashes=(_hash([planes["s1"]]), _hash([optical[resolution] for resolution in SENTINEL_2_L2A.resolutions])),
        fits=fits(planes["s1"], fine),
    )


def _bands(planes: Planes) -> list[tuple[Band, npt.NDArray[Any]]]:
    """Measured pixels of every band, radar first."""
    optical = optical_by_resolution(planes)
    found = [
        (band, channel[~np.isnan(channel)]) for band, channel in zip(SENTINEL_1_RTC.bands, planes["s1"], strict=True)
    ]
    for number, band in enumerate(SENTINEL_2_L2A.bands):
        pixels = optical[band.resolution][SENTINEL_2_L2A.at(band.resolution).index(number)]
        found.append((band, pixels[pixels != 0]))
    return found


def _hash(arrays: Sequence[npt.NDArray[Any]]) -> str:
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]
