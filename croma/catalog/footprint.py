"""Footprints: GeoJSON as catalogs write it, made into shapes that can be compared, also at antimeridian and poles.

Catalogs draw a footprint across the antimeridian in three ways: cut into two polygons (RFC 7946), with longitudes
beyond ±180, or with an edge that jumps from 179 to -179. All three come out alike here.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Transformer
from shapely.affinity import translate
from shapely.geometry import Polygon, box, shape
from shapely.geometry.base import BaseGeometry

from croma.errors import InputError, UnusableError
from croma.extent import AreaOfInterest

Metres = npt.NDArray[np.float64]


def in_degrees(geometry: dict[str, Any]) -> BaseGeometry:
    """The footprint in longitude -180…180 and latitude, cut at the antimeridian.

    Raises:
        UnusableError: the geometry is missing, not polygonal, or has no area.
    """
    parts = [_wrapped(_unrolled(polygon)) for polygon in _polygons(geometry)]
    return _polygonal(shapely.union_all(parts))


def area_in_degrees(area: AreaOfInterest) -> BaseGeometry:
    """The area as `in_degrees`, but taken at its word: an area may be wider than half the globe.

    Raises:
        InputError: the area's geometry is not a polygon with an area.
    """
    try:
        return _polygonal(shapely.union_all([_wrapped(part) for part in _polygons(area.geojson())]))
    except UnusableError as error:
        raise InputError(f"area: {error}") from None


def in_metres(geometry: dict[str, Any], epsg: int) -> BaseGeometry:
    """The footprint in a projected CRS; empty where it lies too far away for that CRS.

    Only the vertices are projected: the edges of tiles are straight in metres, not in degrees. An edge of 200 km that
    is straight in degrees is off by about a kilometre, which the check of nodata pixels catches later.

    Raises:
        UnusableError: as in `in_degrees`.
    """
    transformer = from_degrees(epsg)
    parts = []
    for polygon in _polygons(geometry):
        rings = [_projected(ring, transformer) for ring in (polygon.exterior, *polygon.interiors)]
        if all(np.isfinite(ring).all() for ring in rings):
            parts.append(shapely.make_valid(Polygon(rings[0], rings[1:])))
    if not parts:
        return Polygon()
    return _polygonal(parts[0] if len(parts) == 1 else shapely.union_all(parts, grid_size=0.001))


def covers(footprint: BaseGeometry, bounds: Metres, slack: float = 0.0) -> npt.NDArray[np.bool_]:
    """Which boxes lie inside `footprint` grown by `slack` metres.

    Args:
        footprint: in metres.
        bounds: shape (n, 4): left, bottom, right, top in metres.
        slack: metres.

    Returns:
        Shape (n,).
    """
    if footprint.is_empty or len(bounds) == 0:
        return np.zeros(len(bounds), bool)
    edges = _half_planes(footprint)
    if edges is not None:
        return _inside(edges, bounds, slack)
    grown = footprint.buffer(slack, join_style="mitre") if slack else footprint
    shapely.prepare(grown)
    return np.asarray(shapely.covers(grown, shapely.box(*bounds.T)))


@lru_cache(maxsize=256)
def from_degrees(epsg: int) -> Transformer:
    """Longitude, latitude to metres of `epsg`."""
    return Transformer.from_crs(4326, epsg, always_xy=True)


@lru_cache(maxsize=256)
def to_degrees(epsg: int) -> Transformer:
    """Metres of `epsg` to longitude, latitude."""
    return Transformer.from_crs(epsg, 4326, always_xy=True)


def _polygons(geometry: dict[str, Any]) -> list[Polygon]:
    try:
        given = shapely.force_2d(shape(geometry))
    except (AttributeError, KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise UnusableError(f"the footprint is not a GeoJSON geometry: {error}") from None
    parts = [part for part in shapely.get_parts(given) if isinstance(part, Polygon) and not part.is_empty]
    if not parts:
        raise UnusableError(f"the footprint is no polygon but {given.geom_type}")
    return parts


def _polygonal(given: BaseGeometry) -> BaseGeometry:
    """`given` made valid, without lines and points."""
    valid = shapely.make_valid(given)
    areas = [part for part in shapely.get_parts(valid) if part.area > 0]
    pieces = [p for area in areas for p in shapely.get_parts(area) if isinstance(p, Polygon)]
    if not pieces:
        raise UnusableError("the footprint has no area")
    return pieces[0] if len(pieces) == 1 else shapely.multipolygons(pieces)


def _unrolled(polygon: Polygon) -> BaseGeometry:
    """`polygon` without jumps of longitude, so that it may reach beyond ±180; a ring round a pole is closed over it."""
    rings = []
    for ring in (polygon.exterior, *polygon.interiors):
        points = np.array(ring.coords, dtype=np.float64)
        if abs(points[-1, 0] - points[-2, 0]) == 360 and points[-1, 1] == points[-2, 1]:
            points = points[:-1]  # the closing point of a ring from -180 to 180
        steps = np.diff(points[:, 0])
        jumps = (np.abs(steps) > 180) & (np.abs(steps) < 360)
        points[1:, 0] -= 360 * np.cumsum(np.where(jumps, np.sign(steps), 0.0))
        if abs(points[-1, 0] - points[0, 0]) > 180:
            pole = 90.0 if points[:, 1].mean() > 0 else -90.0
            points = np.vstack([points, [points[-1, 0], pole], [points[0, 0], pole]])
        rings.append(points)
    return shapely.make_valid(Polygon(rings[0], rings[1:]))


def _wrapped(unrolled: BaseGeometry) -> BaseGeometry:
    """`unrolled` cut at the antimeridian, every piece between -180 and 180."""
    west, _, east, _ = unrolled.bounds
    turns = range(int(np.floor((west + 180) / 360)), int(np.floor((east + 180) / 360)) + 1)
    pieces = [
        translate(unrolled.intersection(box(360 * turn - 180, -90, 360 * turn + 180, 90)), xoff=-360 * turn)
        for turn in turns
    ]
    return shapely.union_all(pieces)


def _projected(ring: BaseGeometry, transformer: Transformer) -> Metres:
    longitudes, latitudes = np.asarray(ring.coords, dtype=np.float64).T
    return np.column_stack(transformer.transform(longitudes, latitudes))


def _half_planes(footprint: BaseGeometry) -> Metres | None:
    """Rows (a, b, c) with a·x + b·y <= c and a² + b² = 1 whose intersection is `footprint`; None if not convex."""
    if not isinstance(footprint, Polygon) or footprint.interiors:
        return None
    if footprint.convex_hull.area > footprint.area * (1 + 1e-9):
        return None
    points = np.asarray(shapely.orient_polygons(footprint.convex_hull).exterior.coords)
    along = np.diff(points, axis=0)
    along /= np.hypot(*along.T)[:, None]
    outward = np.column_stack([along[:, 1], -along[:, 0]])
    return np.column_stack([outward, (outward * points[:-1]).sum(axis=1)])


def _inside(edges: Metres, bounds: Metres, slack: float) -> npt.NDArray[np.bool_]:
    left, bottom, right, top = bounds.T
    inside = np.ones(len(bounds), bool)
    for a, b, c in edges:
        # the corner farthest along the outward normal decides for the whole box
        inside &= np.where(a > 0, right, left) * a + np.where(b > 0, top, bottom) * b <= c + slack
    return inside
