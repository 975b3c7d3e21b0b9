"""A shard's card: what is in it, what was refused, and statistics that add up over shards.

The card is written after its shard, so a card says that its shard is whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from croma.chip import Split
from croma.document import Document
from croma.sensors import Role

Number = TypeVar("Number", int, float)


class ChipRow(Document):
    """One row of the index: where a chip is in storage, where on Earth, when, from what, and how good."""

    chip: str
    split: Split
    shard: str
    offset: int
    """Bytes from the start of the shard."""
    length: int
    """Bytes of all planes."""
    crc32: int
    epsg: int
    left: int
    """Metres, top left corner."""
    top: int
    longitude: float | None = None
    """Degrees, centre of the chip; None where nobody knows, as of everything up to the gap for imported benchmarks."""
    latitude: float | None = None
    radar_scene: str | None = None
    optical_scene: str | None = None
    radar_time: datetime | None = None
    optical_time: datetime | None = None
    gap_hours: float | None = None
    """Radar minus optical time."""
    orbit_state: str | None = None
    """Of the radar pass."""
    radar_relative_orbit: int | None = None
    optical_relative_orbit: int | None = None
    baseline: float | None = None
    """Processing baseline of the optical product."""
    tile: str | None = None
    """MGRS tile the optical pixels come from."""
    cloud: float | None = None
    """Share of pixels under cloud, cirrus or cloud shadow; None without a scene classification."""
    snow: float | None = None
    optical_nodata: float
    """Share of pixels without a measurement."""
    radar_nodata: float
    resampled: bool
    """Whether any band of the pair was resampled."""
    reader: str
    """How it was read: window (no resampling) or stack."""
    label: int | None = None
    """Code of most labelled pixels, or the class of the chip; None without labels, or with several of the chip."""
    label_shares: dict[int, float] | None = None
    """Share of labelled pixels by code; 1 for each class of a chip that is labelled as a whole."""


class BandStatistics(Document):
    """Moments and a histogram of every band of a sensor, over clear and valid pixels. They add: see `merge`.

    `croma.shards.moments` counts them.
    """

    count: tuple[int, ...]
    """Pixels, by band."""
    total: tuple[float, ...]
    squares: tuple[float, ...]
    """Sum of squares."""
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    histogram: tuple[tuple[int, ...], ...]
    """By band, counts in the bins of `bin_edges`; values outside fall into the first or last bin."""

    @property
    def mean(self) -> tuple[float, ...]:
        """By band; 0 where nothing was measured."""
        return tuple(t / n if n else 0.0 for t, n in zip(self.total, self.count, strict=True))

    @property
    def std(self) -> tuple[float, ...]:
        """By band, population; 0 where nothing was measured."""
        columns = zip(self.squares, self.mean, self.count, strict=True)
        return tuple(max(s / n - m * m, 0.0) ** 0.5 if n else 0.0 for s, m, n in columns)

    def merge(self, other: Self) -> Self:
        """The statistics of both sets of pixels together."""
        if not any(self.count):
            return other
        if not any(other.count):
            return self
        return type(self)(
            count=_add(self.count, other.count),
            total=_add(self.total, other.total),
            squares=_add(self.squares, other.squares),
            minimum=tuple(map(min, self.minimum, other.minimum)),
            maximum=tuple(map(max, self.maximum, other.maximum)),
            histogram=tuple(map(_add, self.histogram, other.histogram)),
        )


class RejectionRow(Document):
    """One line of the ledger: a pair that became no chip."""

    chip: str
    cell: str
    reason: str
    detail: str


class ShardCard(Document):
    """All that is known of a finished shard. A card without samples tells that every pair of its plan was refused."""

    id: str
    plan: str
    """Fingerprint of the plan the shard is a function of."""
    split: Split
    chip_size: int
    label: bool
    """Whether chips carry a label plane."""
    samples: int
    bytes: int
    sha256: str
    rows: tuple[ChipRow, ...]
    statistics: dict[Role, BandStatistics]
    rejections: tuple[RejectionRow, ...]


class Range(NamedTuple):
    """Histogram bins of a sensor."""

    low: float
    high: float
    bins: int


HISTOGRAMS: Mapping[Role, Range] = {"optical": Range(0.0, 20_000.0, 400), "radar": Range(-50.0, 20.0, 280)}
"""Reflectance × 10,000 in steps of 50; decibels in steps of 0.25."""


def bin_edges(role: Role) -> npt.NDArray[np.float64]:
    """Edges of the histogram bins of a sensor, in its stored unit."""
    return np.linspace(HISTOGRAMS[role].low, HISTOGRAMS[role].high, HISTOGRAMS[role].bins + 1)


def merge_statistics(shards: Iterable[Mapping[Role, BandStatistics]]) -> dict[Role, BandStatistics]:
    """The statistics of several shards together, by sensor."""
    merged: dict[Role, BandStatistics] = {}
    for shard in shards:
        for role, statistics in shard.items():
            merged[role] = merged[role].merge(statistics) if role in merged else statistics
    return merged


def percentiles(role: Role, statistics: BandStatistics, shares: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """By band, the values below which these shares of the pixels lie; 0 where nothing was measured.

    Exact to a bin of the histogram. Pixels beyond its ends count as being in its first or last bin.
    """
    edges, found = bin_edges(role), []
    for low, high, histogram in zip(statistics.minimum, statistics.maximum, statistics.histogram, strict=True):
        below = np.concatenate(([0], np.cumsum(histogram)))
        values = np.interp(np.asarray(shares) * below[-1], below, edges)
        found.append(tuple(np.clip(values, low, high).tolist()) if below[-1] else (0.0,) * len(shares))
    return tuple(found)


def _add(a: tuple[Number, ...], b: tuple[Number, ...]) -> tuple[Number, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))
