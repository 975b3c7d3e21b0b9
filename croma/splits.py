"""Dividing places into splits: whole square blocks of ground, so that no chip has a neighbour on the other side.

Blocks are squares of a UTM zone, drawn by a hash of their place, so a chip's split depends on nothing but where it is:
not on which other chips exist, nor on when it was added.

Law: two chips of different splits do not overlap and are at least `buffer` apart, across the borders of zones too. Of
two that would not be, the one of the lower split is left out: train before val before test.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from croma.catalog.footprint import from_degrees, to_degrees
from croma.grid import PIXEL
from croma.keyed import uniform
from croma.places import BORDERS, Floats, Integers, Places, zones

Flags = npt.NDArray[np.bool_]
METRES_PER_DEGREE = 111_320.0


class Blocks(NamedTuple):
    """How ground is divided."""

    side: int
    """Metres. A multiple of the lattice's step wastes least: then no chip lies across the border of two blocks."""
    val: float
    """Share of blocks."""
    test: float
    """Share of blocks."""
    buffer: int
    """Metres between chips of different splits."""
    seed: int

    def split(self, epsg: npt.ArrayLike, column: npt.ArrayLike, row: npt.ArrayLike) -> Integers:
        """Numbers of the splits (into `croma.chip.SPLITS`) of these blocks."""
        draw = uniform(self.seed, epsg, column, row)
        return np.where(draw < self.test, 2, np.where(draw < self.test + self.val, 1, 0))


def assign(places: Places, size: int, blocks: Blocks, step: int | None = None) -> tuple[Integers, Flags]:
    """The split of every chip, and which must be left out because a higher split is too near.

    Args:
        places: corners of chips.
        size: of the chips, in pixels.
        blocks: how ground is divided.
        step: metres between corners where they lie on a regular lattice anchored at the zones' origins; None if not.

    Returns:
        Numbers into `croma.chip.SPLITS` and flags, both of shape (n,). Each depends on its own place only.
    """
    splits = split_of(places, size, blocks)
    reach = blocks.buffer + _overhang(size, blocks.side, step)
    near = _touches_higher(places.bounds(size), places.epsg, splits, reach, blocks)
    for number, epsg, bounds in _seen_from_other_zones(places, size, reach):
        near[number] |= _touches_higher(bounds, epsg, splits[number], reach, blocks)
    return splits, near


def split_of(places: Places, size: int, blocks: Blocks) -> Integers:
    """The split of every chip: that of the block in which its middle lies. Numbers into `croma.chip.SPLITS`."""
    column, row = (places.centres(size) // blocks.side).astype(np.int64).T
    return blocks.split(places.epsg, column, row)


def _overhang(size: int, side: int, step: int | None) -> int:
    """How far a chip can stick out of the block of its centre, in metres."""
    half = size * PIXEL // 2
    if step is None or side % step:
        return half
    corners = np.arange(-half // step * step, side + step, step)
    inside = corners[(corners + half >= 0) & (corners + half < side)]
    # rows count from the top, so what sticks out is not the same: a centre on a border belongs to the upper block
    tops = np.arange(0, side + half + step, step)
    above = tops[(tops - half >= 0) & (tops - half < side)]
    out = [-inside.min(), inside.max() + 2 * half - side, above.max() - side, 2 * half - above.min()]
    return int(max(0, *out))


def _touches_higher(bounds: Floats, epsg: npt.ArrayLike, splits: Integers, reach: int, blocks: Blocks) -> Flags:
    """Which squares, grown by `reach`, meet a block of a higher split than their own in the zone `epsg`."""
    left, bottom, right, top = (bounds + np.array([-reach, -reach, reach, reach])).T
    first_column, first_row = np.floor(left / blocks.side), np.floor(bottom / blocks.side)
    columns = int(np.max(np.ceil(right / blocks.side) - first_column, initial=0))
    rows = int(np.max(np.ceil(top / blocks.side) - first_row, initial=0))
    touches = np.zeros(len(bounds), bool)
    for dx in range(columns):
        for dy in range(rows):
            column, row = first_column + dx, first_row + dy
            meets = (column * blocks.side < right) & (row * blocks.side < top)
            higher = blocks.split(epsg, column.astype(np.int64), row.astype(np.int64)) > splits
            touches |= meets & higher
    return touches


def _seen_from_other_zones(places: Places, size: int, reach: int) -> list[tuple[Integers, int, Floats]]:
    """Chips near the border of a zone, by neighbouring zone: their numbers, the zone, their bounds in its metres.

    A chip is seen from a zone if a chip of that zone could be within `reach` of it.
    """
    margin = reach + 2 * size * PIXEL
    seen = []
    for epsg in np.unique(places.epsg):
        [own] = np.nonzero(places.epsg == epsg)
        candidates = own[_near_border(places.take(own), size, margin)]
        if len(candidates) == 0:
            continue
        chips = places.take(candidates).bounds(size)
        longitudes, latitudes = to_degrees(int(epsg)).transform(*_ring(chips, margin))
        there = zones(longitudes, latitudes)
        for other in np.unique(there[there != epsg]):
            chosen = (there == other).any(axis=0)
            x, y = from_degrees(int(other)).transform(*to_degrees(int(epsg)).transform(*_ring(chips[chosen], 0)))
            bounds = np.column_stack((x.min(axis=0), y.min(axis=0), x.max(axis=0), y.max(axis=0)))
            seen.append((candidates[chosen], int(other), bounds))
    return seen


def _near_border(places: Places, size: int, margin: int) -> Flags:
    """Which chips may be within `margin` of another zone. Errs on the side of yes."""
    longitude, latitude = to_degrees(int(places.epsg[0])).transform(*places.centres(size).T)
    east = np.abs(longitude - 3 * np.round(longitude / 3)) * METRES_PER_DEGREE * np.cos(np.radians(latitude))
    north = np.min([np.abs(latitude - border) for border in BORDERS], axis=0) * METRES_PER_DEGREE
    return np.asarray(np.minimum(east, north) < 2 * margin)


def _ring(bounds: Floats, grown: float) -> tuple[Floats, Floats]:
    """Corners and middles of the edges of squares grown by some metres: x and y, each of shape (8, n)."""
    left, bottom, right, top = bounds.T
    columns = np.stack((left - grown, (left + right) / 2, right + grown))
    rows = np.stack((bottom - grown, (bottom + top) / 2, top + grown))
    order = [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    return columns[[i for i, _ in order]], rows[[j for _, j in order]]
