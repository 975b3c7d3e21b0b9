"""Scenes for tests of pairing and planning, made without a catalog."""

from datetime import UTC, datetime, timedelta
from typing import Any

from croma.catalog.footprint import to_degrees
from croma.catalog.scene import Asset, Scene
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A

NOON = datetime(2021, 6, 23, 12, tzinfo=UTC)


def square(left: float, bottom: float, right: float, top: float, epsg: int = 32633) -> dict[str, Any]:
    """A footprint in degrees of a rectangle in metres."""
    corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    return {"type": "Polygon", "coordinates": [[list(to_degrees(epsg).transform(x, y)) for x, y in corners]]}


HERE = square(500_340, 5_390_340, 512_460, 5_402_460)
"""12 km of zone 33 around 15° E, 48.7° N: ten by ten places of 1200 m."""
AREA = {"bbox": (14.9, 48.5, 15.3, 48.9)}


def optical(name: str, hours: float = 0, geometry: dict[str, Any] | None = None, **fields: Any) -> Scene:
    """An optical scene sensed some hours after noon of 2021-06-23."""
    bands = [band.name for band in SENTINEL_2_L2A.bands]
    values: dict[str, Any] = {
        "collection": "sentinel-2-l2a",
        "role": "optical",
        "epsg": 32633,
        "platform": "sentinel-2a",
        "tile": "33UVP",
        "baseline": 3.0,
        "cloud_cover": 5.0,
        "assets": {band: Asset(href=f"https://example.org/{name}/{band}.tif") for band in (*bands, "SCL")},
    }
    return _scene(name, hours, geometry or HERE, values | fields)


def radar(name: str, hours: float = 0, geometry: dict[str, Any] | None = None, **fields: Any) -> Scene:
    """A radar scene sensed some hours after noon of 2021-06-23."""
    values: dict[str, Any] = {
        "collection": "sentinel-1-rtc",
        "role": "radar",
        "epsg": 32633,
        "platform": "sentinel-1a",
        "mode": "IW",
        "polarizations": ("VV", "VH"),
        "orbit_state": "descending",
        "assets": {
            band.name: Asset(href=f"https://example.org/{name}/{band.name}.tif") for band in SENTINEL_1_RTC.bands
        },
    }
    return _scene(name, hours, geometry or square(400_000, 5_300_000, 600_000, 5_500_000), values | fields)


def label(name: str, year: int = 2021, geometry: dict[str, Any] | None = None) -> Scene:
    """A tile of a label layer, of the middle of a year."""
    return Scene(
        id=name,
        collection="esa-worldcover",
        role=None,
        time=datetime(year, 7, 1, tzinfo=UTC),
        geometry=geometry or square(400_000, 5_300_000, 600_000, 5_500_000),
        epsg=4326,
        assets={"label": Asset(href=f"https://example.org/{name}.tif")},
    )


def _scene(name: str, hours: float, geometry: dict[str, Any], fields: dict[str, Any]) -> Scene:
    return Scene(id=name, time=NOON + timedelta(hours=hours), geometry=geometry, **fields)
