"""Where chips lie: pure functions from a footprint to cells.

Laws: every corner lies on the 60 m lattice; every chip lies in the footprint and has its middle in the area. On a
lattice a place has one owner, the UTM zone of the chip's middle, so that no two zones give one piece of ground to two
chips.
"""

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from croma.building.spec import Centres, Lattice, Placement
from croma.catalog.footprint import covers, in_degrees, to_degrees
from croma.catalog.scene import Scene
from croma.grid import PIXEL, align_down, align_up, snap, utm_epsg
from croma.places import Places, zones

SLACK = 20.0
"""Metres that a chip may stick out of a footprint: footprints are rounded, and the pixels have the last word."""


def cells(placement: Placement, footprint: BaseGeometry, epsg: int, size: int, area: BaseGeometry) -> Places:
    """The cells of a zone that a footprint offers, sorted from the top down and from left to right.

    Args:
        placement: the strategy.
        footprint: of a scene, in metres of `epsg`.
        epsg: the UTM zone.
        size: of the chips, in pixels.
        area: in degrees; chips whose middle is not in it are left out. It should be prepared.
    """
    if footprint.is_empty:
        return Places.of(epsg, [], [])
    if isinstance(placement, Centres):
        return _inside(_centre(footprint, epsg, size), footprint, size, area)
    offered = _inside(_lattice(placement, footprint, epsg, size), footprint, size, area)
    longitude, latitude = to_degrees(epsg).transform(*offered.centres(size).T)
    return offered.take(zones(longitude, latitude) == epsg)


def zone(scene: Scene) -> int:
    """The UTM zone in which a scene's chips lie: that of its files, so that they need no resampling.

    Where the files are in no UTM zone it is that of the footprint's middle.
    """
    if scene.epsg is not None and scene.epsg // 100 in (326, 327) and 1 <= scene.epsg % 100 <= 60:
        return scene.epsg
    middle = in_degrees(scene.geometry).representative_point()
    return utm_epsg(middle.x, middle.y)


def step(placement: Placement) -> int | None:
    """Metres between corners where they lie on a regular lattice of the zone."""
    return placement.step if isinstance(placement, Lattice) else None


def _lattice(placement: Lattice, footprint: BaseGeometry, epsg: int, size: int) -> Places:
    side = size * PIXEL
    west, south, east, north = footprint.bounds
    step = placement.step
    lefts = np.arange(align_up(west - SLACK, step), east + SLACK - side + 1, step, dtype=np.int64)
    tops = np.arange(align_down(north + SLACK, step), south - SLACK + side - 1, -step, dtype=np.int64)
    grid = np.meshgrid(lefts, tops)
    return Places.of(epsg, grid[0].ravel(), grid[1].ravel())


def _centre(footprint: BaseGeometry, epsg: int, size: int) -> Places:
    west, south, east, north = footprint.bounds
    half = size * PIXEL / 2
    return Places.of(epsg, [snap((west + east) / 2 - half)], [snap((south + north) / 2 + half)])


def _inside(offered: Places, footprint: BaseGeometry, size: int, area: BaseGeometry) -> Places:
    offered = offered.take(covers(footprint, offered.bounds(size), SLACK))
    if len(offered.left) == 0:
        return offered
    longitude, latitude = to_degrees(int(offered.epsg[0])).transform(*offered.centres(size).T)
    return offered.take(np.asarray(shapely.intersects_xy(area, longitude, latitude)))
