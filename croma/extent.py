"""Where and when: areas of interest and time windows, as written in recipes."""

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from croma.document import Document


def _on_earth(bbox: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    west, south, east, north = bbox
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90):
        raise ValueError("expected [west, south, east, north] in degrees with south < north; west > east crosses 180°")
    return bbox


class AreaOfInterest(Document):
    """An area in longitude and latitude (EPSG:4326): a box, or a GeoJSON Polygon or MultiPolygon. Exactly one."""

    bbox: Annotated[tuple[float, float, float, float], AfterValidator(_on_earth)] | None = None
    """West, south, east, north in degrees. West greater than east crosses the antimeridian."""
    geometry: dict[str, Any] | None = None
    """A GeoJSON geometry of type Polygon or MultiPolygon."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.bbox is None) == (self.geometry is None):
            raise ValueError("give exactly one of bbox and geometry")
        if self.geometry is not None and self.geometry.get("type") not in ("Polygon", "MultiPolygon"):
            raise ValueError(f"geometry must be a GeoJSON Polygon or MultiPolygon, not {self.geometry.get('type')!r}")
        return self

    def geojson(self) -> dict[str, Any]:
        """The area as a GeoJSON geometry; a box across the antimeridian becomes two polygons."""
        if self.geometry is not None:
            return self.geometry
        assert self.bbox is not None
        west, south, east, north = self.bbox
        if west <= east:
            return {"type": "Polygon", "coordinates": [_ring(west, south, east, north)]}
        halves = [[_ring(west, south, 180.0, north)], [_ring(-180.0, south, east, north)]]
        return {"type": "MultiPolygon", "coordinates": halves}


def _ring(west: float, south: float, east: float, north: float) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


class TimeWindow(Document):
    """Acquisition times from `start` to `end`, both days included, UTC."""

    start: date
    end: date

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"end {self.end} is before start {self.start}")
        return self

    @property
    def first(self) -> datetime:
        """Midnight at the beginning of `start`."""
        return datetime.combine(self.start, time.min, UTC)

    @property
    def last(self) -> datetime:
        """The last microsecond of `end`."""
        return datetime.combine(self.end, time.max, UTC)

    def contains(self, moment: datetime) -> bool:
        """Whether `moment` (time-zone aware) lies in the window."""
        return self.first <= moment <= self.last
