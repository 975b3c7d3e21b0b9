"""The land-cover map of a world, in the form of ESA WorldCover: tiles of 3° in longitude and latitude."""

from pathlib import Path
from typing import Any

import numpy as np

from croma.grid import GeoBox
from croma.simulate.cog import write_cog
from croma.simulate.frame import transformer
from croma.simulate.items import COG, bbox_of, collection_link
from croma.simulate.mosaic import Lands, gather_grid

COLLECTION = "esa-worldcover"
PER_DEGREE = 12_000
"""Pixels per degree: 9.3 m from north to south."""
TILE = 3
"""Degrees."""

CLASSES = {
    10: ("006400", "Tree cover"),
    20: ("FFBB22", "Shrubland"),
    30: ("FFFF4C", "Grassland"),
    40: ("F096FF", "Cropland"),
    50: ("FA0000", "Built-up"),
    60: ("B4B4B4", "Bare / sparse vegetation"),
    70: ("F0F0F0", "Snow and ice"),
    80: ("0064C8", "Permanent water bodies"),
    90: ("0096A0", "Herbaceous wetland"),
    95: ("00CF75", "Mangroves"),
    100: ("FAE6A0", "Moss and lichen"),
}
"""Code: colour and name."""


def write_maps(lands: Lands, folder: Path) -> list[dict[str, Any]]:
    """Write the map of the world below `folder`; one file and one item for each 3° tile that it touches."""
    west, south, east, north = _bounds(lands)
    items = []
    for latitude in range(TILE * (south // PER_DEGREE // TILE), north // PER_DEGREE + 1, TILE):
        for longitude in range(TILE * (west // PER_DEGREE // TILE), east // PER_DEGREE + 1, TILE):
            left, right = max(west, longitude * PER_DEGREE), min(east, (longitude + TILE) * PER_DEGREE)
            bottom, top = max(south, latitude * PER_DEGREE), min(north, (latitude + TILE) * PER_DEGREE)
            if left < right and bottom < top:
                items.append(_write_tile(lands, folder, _tile_name(longitude, latitude), (left, bottom, right, top)))
    return items


def _bounds(lands: Lands) -> tuple[int, int, int, int]:
    """West, south, east, north of all ground, in pixels from the origin of longitude and latitude."""
    points = []
    for land in lands.values():
        left, bottom, right, top = land.box.bounds
        points.append(
            transformer(land.box.epsg, 4326).transform([left, left, right, right], [bottom, top, bottom, top])
        )
    longitudes, latitudes = (np.concatenate([corner[axis] for corner in points]) * PER_DEGREE for axis in (0, 1))
    return int(longitudes.min()), int(latitudes.min()), int(longitudes.max()) + 1, int(latitudes.max()) + 1


def _tile_name(longitude: int, latitude: int) -> str:
    return f"{'N' if latitude >= 0 else 'S'}{abs(latitude):02d}{'E' if longitude >= 0 else 'W'}{abs(longitude):03d}"


def _write_tile(lands: Lands, folder: Path, name: str, pixels: tuple[int, int, int, int]) -> dict[str, Any]:
    left, bottom, right, top = pixels
    size = 1 / PER_DEGREE
    box = GeoBox(4326, left * size, top * size, size, top - bottom, right - left)
    land, known = gather_grid(lands, 4326, (box.left, box.top), (size, -size), box)
    cover = np.where(known, land.cover(), 0).astype(np.uint8)
    href = f"{COLLECTION}/ESA_WorldCover_10m_2021_v200_{name}_Map.tif"
    write_cog(folder / href, cover, epsg=4326, transform=box.transform, nodata=0)
    return _item(name, href, box)


def _item(name: str, href: str, box: GeoBox) -> dict[str, Any]:
    west, south, east, north = box.bounds
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    footprint = {"type": "Polygon", "coordinates": [ring]}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.0.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.0.0/schema.json",
            "https://stac-extensions.github.io/classification/v1.0.0/schema.json",
        ],
        "id": f"ESA_WorldCover_10m_2021_v200_{name}",
        "collection": COLLECTION,
        "geometry": footprint,
        "bbox": bbox_of(footprint),
        "properties": {
            # No single time: the map is of a year, and so it is in the catalog.
            "datetime": None,
            "start_datetime": "2021-01-01T00:00:00Z",
            "end_datetime": "2021-12-31T23:59:59Z",
            "created": "2022-10-28T00:00:00Z",
            "description": "ESA WorldCover product at 10m resolution for year 2021",
            "mission": "sentinel-1, sentinel-2",
            "platform": "sentinel-1a, sentinel-1b, sentinel-2a, sentinel-2b",
            "instruments": ["c-sar", "msi"],
            "proj:epsg": 4326,
            "esa_worldcover:product_tile": name,
            "esa_worldcover:product_version": "2.0.0",
        },
        "assets": {
            "map": {
                "href": href,
                "type": COG,
                "roles": ["data"],
                "title": "Land Cover Classes",
                "proj:shape": [box.height, box.width],
                "proj:transform": list(box.transform),
                "raster:bands": [{"nodata": 0, "sampling": "area", "data_type": "uint8", "spatial_resolution": 10}],
                "classification:classes": [
                    {"value": code, "color-hint": colour, "description": title}
                    for code, (colour, title) in CLASSES.items()
                ],
            }
        },
        "links": [collection_link(COLLECTION)],
    }
