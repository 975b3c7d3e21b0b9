"""What one request asks of a catalog, and how a search is cut into requests. Pure: nothing here talks to a server."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import shapely
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from croma.catalog.footprint import in_degrees
from croma.catalog.items import sensing_time
from croma.errors import UnusableError
from croma.extent import TimeWindow

SMALLEST = timedelta(days=1)
SMALLEST_DEGREES = 0.05
FEWEST = 10
"""Items a page: smaller ones are not asked for."""
MOST_VERTICES = 200
"""An area with more is searched by its hull: the area itself decides afterwards."""
NEAR_ANTIMERIDIAN = 20.0
"""Degrees. A footprint within this of ±180 may be stored with longitudes beyond it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One request: a collection, a place, a time."""

    collection: str
    area: BaseGeometry
    """In degrees; may reach beyond ±180."""
    time: tuple[datetime, datetime] | None
    """Both ends included, UTC, to the second; None for any time."""
    limit: int
    """Items a page."""

    def parameters(self) -> dict[str, Any]:
        """The query as parameters of pystac-client's search: only what every server understands."""
        box = shapely.box(*self.area.bounds)
        plain = shapely.equals(self.area, box) and -180 <= self.area.bounds[0] <= self.area.bounds[2] <= 180
        where = {"bbox": self.area.bounds} if plain else {"intersects": shapely.geometry.mapping(self.area)}
        when = {} if self.time is None else {"datetime": "/".join(f"{t:%Y-%m-%dT%H:%M:%SZ}" for t in self.time)}
        return {"collections": [self.collection], "limit": self.limit, **where, **when}

    def halves(self) -> "tuple[Query, ...]":
        """The query split by time, then by area, with smaller pages; empty where it is as small as it gets.

        Law: what matches the query matches one of its halves.
        """
        limit = min(max(self.limit // 2, FEWEST), self.limit)
        if self.time is not None and self.time[1] - self.time[0] > SMALLEST:
            middle = (self.time[0] + (self.time[1] - self.time[0]) / 2).replace(microsecond=0)
            first, second = (self.time[0], middle), (middle, self.time[1])
            return replace(self, time=first, limit=limit), replace(self, time=second, limit=limit)
        west, south, east, north = self.area.bounds
        if max(east - west, north - south) < SMALLEST_DEGREES:
            return ()
        if east - west >= north - south:
            boxes = (west, south, (west + east) / 2, north), ((west + east) / 2, south, east, north)
        else:
            boxes = (west, south, east, (south + north) / 2), (west, (south + north) / 2, east, north)
        areas = (self.area.intersection(shapely.box(*box)).buffer(0) for box in boxes)
        return tuple(replace(self, area=area, limit=limit) for area in areas if not area.is_empty)


def queries(collection: str, area: BaseGeometry, window: TimeWindow | None, limit: int) -> Iterator[Query]:
    """A search as requests: one on each side of the antimeridian, and near it once more with longitudes beyond ±180."""
    time = None if window is None else (window.first, window.last + timedelta(seconds=1))
    for part in _parts(area):
        yield Query(collection=collection, area=part, time=time, limit=limit)


def _parts(area: BaseGeometry) -> Iterator[BaseGeometry]:
    wide = area.bounds[2] - area.bounds[0] > 180
    pieces = shapely.get_parts(area)
    west = [piece for piece in pieces if wide and piece.centroid.x < 0]
    east = [piece for piece in pieces if not (wide and piece.centroid.x < 0)]
    for side in (west, east):
        if not side:
            continue
        part = shapely.union_all(side)
        part = part if shapely.get_num_coordinates(part) <= MOST_VERTICES else part.convex_hull
        yield part
        for edge in (-180, 180):
            near = part.intersection(shapely.box(edge - NEAR_ANTIMERIDIAN, -90, edge + NEAR_ANTIMERIDIAN, 90))
            if near.area > 0:
                yield translate(near, xoff=-2 * edge)


def matches(item: dict[str, Any], collection: str, area: BaseGeometry, window: TimeWindow | None) -> bool:
    """Whether an item is what was asked for, by its own footprint and time.

    What cannot be told is taken for a match: the dialect will say why it cannot be used.
    """
    if item.get("collection") != collection:
        return False
    try:
        if window is not None and not window.contains(sensing_time(item.get("properties") or {})):
            return False
        return bool(shapely.intersects(area, in_degrees(item.get("geometry") or {})))
    except UnusableError:
        return True
