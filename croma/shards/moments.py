"""Counting pixels for the statistics of a shard, fast: moments and histograms that add up over chips."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from croma.sensors import Role
from croma.shards.card import HISTOGRAMS, BandStatistics

Values = npt.NDArray[Any]


class Moments(NamedTuple):
    """Statistics of the bands of a sensor as arrays; the first axis is the band."""

    pixels: npt.NDArray[np.int64]
    total: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    minimum: npt.NDArray[np.float64]
    """Infinite where nothing was counted."""
    maximum: npt.NDArray[np.float64]
    histogram: npt.NDArray[np.int64]
    """(bands, bins)."""

    def plus(self, other: "Moments") -> "Moments":
        """The moments of both sets of pixels together."""
        return Moments(
            self.pixels + other.pixels,
            self.total + other.total,
            self.squares + other.squares,
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
            self.histogram + other.histogram,
        )

    def statistics(self) -> BandStatistics:
        """The same as a document; minimum and maximum are 0 where nothing was counted."""
        empty = self.pixels == 0
        return BandStatistics(
            count=tuple(self.pixels.tolist()),
            total=tuple(self.total.tolist()),
            squares=tuple(self.squares.tolist()),
            minimum=tuple(np.where(empty, 0.0, self.minimum).tolist()),
            maximum=tuple(np.where(empty, 0.0, self.maximum).tolist()),
            histogram=tuple(tuple(row) for row in self.histogram.tolist()),
        )


def moments(role: Role, bands: Iterable[Values]) -> Moments:
    """Moments of the given pixels.

    Args:
        role: of the sensor; says where its histogram lies.
        bands: for every band its valid values in the stored unit, any shape.
    """
    columns = [_band(role, values.ravel()) for values in bands]
    count, total, squares, minimum, maximum, histogram = zip(*columns, strict=True)
    return Moments(
        np.array(count, np.int64),
        np.array(total, np.float64),
        np.array(squares, np.float64),
        np.array(minimum, np.float64),
        np.array(maximum, np.float64),
        np.stack(histogram),
    )


def _band(role: Role, values: Values) -> tuple[int, float, float, float, float, npt.NDArray[np.int64]]:
    bins = HISTOGRAMS[role]
    if values.size == 0:
        return 0, 0.0, 0.0, np.inf, -np.inf, np.zeros(bins.bins, np.int64)
    exact = values.astype(np.float64)
    # Divided, not multiplied by the inverse: a value on an edge then falls exactly on it.
    places = np.clip((exact - bins.low) / ((bins.high - bins.low) / bins.bins), 0, bins.bins - 1)
    counts = np.bincount(places.astype(np.int32), minlength=bins.bins)
    return values.size, exact.sum(), (exact * exact).sum(), exact.min(), exact.max(), counts
