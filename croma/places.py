"""Many cells at once, as columns: what ten million chips need instead of ten million objects."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from croma.grid import LATTICE, PIXEL, Cell

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Places(NamedTuple):
    """Cells by column; each has shape (n,)."""

    epsg: Integers
    left: Integers
    """Metres."""
    top: Integers
    """Metres."""

    @classmethod
    def of(cls, epsg: int, left: npt.ArrayLike, top: npt.ArrayLike) -> "Places":
        """Cells of one zone."""
        lefts, tops = np.asarray(left, np.int64), np.asarray(top, np.int64)
        return cls(np.full(lefts.shape, epsg, np.int64), lefts, tops)

    @classmethod
    def from_keys(cls, keys: Integers) -> "Places":
        """The inverse of `keys`."""
        return cls(
            keys >> 42,
            (((keys >> 21) & _FIELD) - _SHIFT) * LATTICE,
            ((keys & _FIELD) - _SHIFT) * LATTICE,
        )

    @property
    def keys(self) -> Integers:
        """One number per cell; corners must lie on the lattice, within 62,000 km of the zone's origin."""
        columns, rows = self.left // LATTICE + _SHIFT, self.top // LATTICE + _SHIFT
        return (self.epsg << 42) | (columns << 21) | rows

    def take(self, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice) -> "Places":
        """The cells at these positions."""
        return Places(self.epsg[index], self.left[index], self.top[index])

    def cell(self, number: int) -> Cell:
        """One of them."""
        return Cell(int(self.epsg[number]), int(self.left[number]), int(self.top[number]))

    def bounds(self, size: int) -> Floats:
        """Left, bottom, right, top in metres of chips of `size` pixels: shape (n, 4)."""
        side = size * PIXEL
        columns = (self.left, self.top - side, self.left + side, self.top)
        return np.column_stack(columns).astype(np.float64).reshape(-1, 4)

    def centres(self, size: int) -> Floats:
        """x, y in metres of the middle of chips of `size` pixels: shape (n, 2)."""
        half = size * PIXEL / 2
        return np.column_stack((self.left + half, self.top - half)).reshape(-1, 2)


_FIELD = (1 << 21) - 1
_SHIFT = 1 << 20


BORDERS = (0.0, 56.0, 64.0, 72.0, 84.0)
"""Latitudes where zones begin and end from south to north; from west to east all do at multiples of 3°."""


def zones(longitudes: Floats, latitudes: Floats) -> Integers:
    """`croma.grid.utm_epsg` of many points."""
    longitudes = (longitudes + 180) % 360 - 180
    zone = np.minimum((longitudes + 180) // 6, 59).astype(np.int64) + 1
    norway = (latitudes >= 56) & (latitudes < 64) & (longitudes >= 3) & (longitudes < 12)
    zone = np.where(norway, 32, zone)
    svalbard = (latitudes >= 72) & (latitudes < 84) & (longitudes >= 0) & (longitudes < 42)
    zone = np.where(svalbard, np.select([longitudes < 9, longitudes < 21, longitudes < 33], [31, 33, 35], 37), zone)
    return np.where(latitudes >= 0, 32600, 32700) + zone
