"""Small STAC items as catalogs write them, for tests."""

from typing import Any

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B11", "B12", "B8A")


def polygon(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def item(
    name: str, collection: str, time: str | None, geometry: dict[str, Any], assets: dict[str, Any], **properties: Any
) -> dict[str, Any]:
    boxes = [point for ring in _rings(geometry) for point in ring]
    longitudes, latitudes = [point[0] for point in boxes], [point[1] for point in boxes]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": name,
        "collection": collection,
        "geometry": geometry,
        "bbox": [min(longitudes), min(latitudes), max(longitudes), max(latitudes)],
        "properties": {"datetime": time, **properties},
        "links": [],
        "assets": assets,
    }


def optical(
    name: str, time: str = "2021-06-23T10:10:31Z", geometry: dict[str, Any] | None = None, **properties: Any
) -> dict[str, Any]:
    assets = {band: {"href": f"https://example.org/{name}/{band}.tif"} for band in (*BANDS, "SCL")}
    properties = {
        "platform": "Sentinel-2A",
        "proj:epsg": 32633,
        "s2:processing_baseline": "03.00",
        "s2:mgrs_tile": "33UUP",
        "eo:cloud_cover": 5.0,
        **properties,
    }
    return item(name, "sentinel-2-l2a", time, geometry or polygon(13, 48, 14, 49), assets, **properties)


def radar(
    name: str, time: str = "2021-06-23T05:10:00Z", geometry: dict[str, Any] | None = None, **properties: Any
) -> dict[str, Any]:
    assets = {band: {"href": f"https://example.org/{name}/{band}.tif"} for band in ("vv", "vh")}
    properties = {
        "platform": "SENTINEL-1A",
        "proj:epsg": 32633,
        "sar:instrument_mode": "IW",
        "sar:polarizations": ["VV", "VH"],
        "sat:orbit_state": "descending",
        "sat:relative_orbit": 22,
        **properties,
    }
    return item(name, "sentinel-1-rtc", time, geometry or polygon(12, 47, 15, 50), assets, **properties)


def _rings(geometry: dict[str, Any]) -> list[list[list[float]]]:
    if geometry["type"] == "Polygon":
        return list(geometry["coordinates"])
    return [ring for part in geometry["coordinates"] for ring in part]
