"""Where chips lie: from a footprint to the cells it offers, by strategy.

Laws: every corner lies on the 60 m lattice; every chip lies in the footprint and has its middle in the area. On a
lattice a place has one owner, the UTM zone of the chip's middle, so that no two zones give one piece of ground to two
chips.
"""

from itertools import pairwise
from typing import Protocol

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from croma.catalog.footprint import covers, from_degrees, in_degrees, to_degrees
from croma.catalog.scene import Scene
from croma.grid import PIXEL, align_down, align_up, snap, utm_epsg
from croma.places import BORDERS, Floats, Places, zones

SLACK = 20.0
"""Metres that a chip may stick out of a footprint: footprints are rounded, and the pixels have the last word."""


class Sites(Protocol):
    """Where chips may lie."""

    @property
    def step(self) -> int | None:
        """Metres between corners where they lie on a regular lattice of the zone; None where they do not."""

    def cells(self, footprint: BaseGeometry, epsg: int) -> Places:
        """The cells of a zone that a footprint (in metres of the zone) offers."""


class LatticeSites:
    """A regular grid of every zone, anchored at its origin.

    Args:
        step: metres between corners.
        size: of the chips, in pixels.
        area: in degrees.
    """

    def __init__(self, step: int, size: int, area: BaseGeometry) -> None:
        self.step = step
        self._size = size
        self._area = area
        shapely.prepare(area)

    def cells(self, footprint: BaseGeometry, epsg: int) -> Places:
        """See `Sites`. From the top down, and from left to right."""
        if footprint.is_empty:
            return Places.of(epsg, [], [])
        side = self._size * PIXEL
        west, south, east, north = footprint.bounds
        lefts = np.arange(align_up(west - SLACK, self.step), east + SLACK - side + 1, self.step, dtype=np.int64)
        tops = np.arange(align_down(north + SLACK, self.step), south - SLACK + side - 1, -self.step, dtype=np.int64)
        grid = np.meshgrid(lefts, tops)
        offered = Places.of(epsg, grid[0].ravel(), grid[1].ravel())
        offered = offered.take(covers(footprint, offered.bounds(self._size), SLACK))
        longitude, latitude = to_degrees(epsg).transform(*offered.centres(self._size).T)
        here = np.asarray(shapely.intersects_xy(self._area, longitude, latitude))
        return offered.take(here & (zones(longitude, latitude) == epsg))


class CentreSites:
    """One chip in the middle of each footprint. It stays in the zone of the files: patches have one owner anyway.

    Args:
        size: of the chips, in pixels.
        area: in degrees.
    """

    step = None

    def __init__(self, size: int, area: BaseGeometry) -> None:
        self._size = size
        self._area = area

    def cells(self, footprint: BaseGeometry, epsg: int) -> Places:
        """See `Sites`. One or none."""
        if footprint.is_empty:
            return Places.of(epsg, [], [])
        west, south, east, north = footprint.bounds
        half = self._size * PIXEL / 2
        place = Places.of(epsg, [snap((west + east) / 2 - half)], [snap((south + north) / 2 + half)])
        longitude, latitude = to_degrees(epsg).transform(*place.centres(self._size).T)
        here = np.asarray(shapely.intersects_xy(self._area, longitude, latitude))
        return place.take(covers(footprint, place.bounds(self._size), SLACK) & here)


class ListedSites:
    """Places that are known one by one.

    Args:
        places: each once.
        size: of the chips, in pixels.
        step: as `Sites.step`.
    """

    def __init__(self, places: Places, size: int, step: int | None = None) -> None:
        self.step = step
        self._size = size
        order = np.lexsort((places.top, places.left, places.epsg))
        self.places = places.take(order)

    def cells(self, footprint: BaseGeometry, epsg: int) -> Places:
        """See `Sites`. From left to right."""
        if footprint.is_empty:
            return Places.of(epsg, [], [])
        west, _, east, _ = footprint.bounds
        first, last = np.searchsorted(self.places.epsg, (epsg, epsg + 1))
        lefts = self.places.left[first:last]
        near = slice(first + np.searchsorted(lefts, west - SLACK), first + np.searchsorted(lefts, east + SLACK))
        offered = self.places.take(near)
        return offered.take(covers(footprint, offered.bounds(self._size), SLACK))


def zone(scene: Scene) -> int:
    """The UTM zone in which a scene's chips lie: that of its files, so that they need no resampling.

    Where the files are in no UTM zone it is that of the footprint's middle.
    """
    if scene.epsg is not None and scene.epsg // 100 in (326, 327) and 1 <= scene.epsg % 100 <= 60:
        return scene.epsg
    middle = in_degrees(scene.geometry).representative_point()
    return utm_epsg(middle.x, middle.y)


def snapped(longitude: Floats, latitude: Floats, size: int) -> Places:
    """The chips whose middles are nearest to some points: within 30 m east and north. Shape (n,), in order.

    Args:
        longitude: degrees.
        latitude: degrees.
        size: of the chips, in pixels.
    """
    epsg = zones(longitude, latitude)
    left, top = np.zeros(len(epsg), np.int64), np.zeros(len(epsg), np.int64)
    half = size * PIXEL / 2
    for code in np.unique(epsg):
        here = epsg == code
        x, y = from_degrees(int(code)).transform(longitude[here], latitude[here])
        left[here] = [snap(value - half) for value in x]
        top[here] = [snap(value + half) for value in y]
    return Places(epsg, left, top)


def lattice_in(area: BaseGeometry, step: int, size: int) -> Places:
    """All places of a lattice whose middle lies in `area` (degrees), sorted by zone, then from the top left.

    Args:
        area: in degrees.
        step: metres between corners.
        size: of the chips, in pixels.
    """
    sites = LatticeSites(step, size, area)
    parts = [sites.cells(shapely.box(*bounds), epsg) for epsg, bounds in _strips(area, size * PIXEL)]
    return Places(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _strips(area: BaseGeometry, margin: float) -> list[tuple[int, tuple[float, float, float, float]]]:
    """The zones that an area meets, and a box in the metres of each that holds the area's part in it and a margin."""
    west, south, east, north = area.bounds
    columns = np.arange(np.floor(west / 3) * 3, east, 3)
    borders = np.array([-90.0, *BORDERS, 90.0])
    found: dict[int, list[Floats]] = {}
    for column in columns:
        for low, high in pairwise(borders):  # a zone holds the whole of such a piece of the globe
            piece = area.intersection(shapely.box(column, max(low, south), column + 3, min(high, north)))
            if low >= north or high <= south or piece.is_empty:
                continue
            [epsg] = zones(np.array([column + 1.5]), np.array([(low + high) / 2]))
            points = shapely.get_coordinates(shapely.segmentize(piece, 0.1))
            found.setdefault(int(epsg), []).append(np.column_stack(from_degrees(int(epsg)).transform(*points.T)))
    boxes = {epsg: np.concatenate(parts) for epsg, parts in sorted(found.items())}
    return [(epsg, (*(points.min(axis=0) - margin), *(points.max(axis=0) + margin))) for epsg, points in boxes.items()]
