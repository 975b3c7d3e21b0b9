"""The three collections of a world, under the ids of Planetary Computer."""

from typing import Any

from croma.simulate.items import COG, RADAR_TITLES, bbox_of

_TITLES = {
    "sentinel-2-l2a": ("Sentinel-2 Level-2A", "Simulated surface reflectance in the form of Sentinel-2 Level-2A."),
    "sentinel-1-rtc": (
        "Sentinel 1 Radiometrically Terrain Corrected (RTC)",
        "Simulated gamma naught in the form of Sentinel-1 RTC.",
    ),
    "esa-worldcover": ("ESA WorldCover", "The land cover of the simulated world, in the form of ESA WorldCover."),
}


def collections(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A STAC collection for each collection id among `items`, with the extent of its items."""
    return [
        _collection(name, [item for item in items if item["collection"] == name])
        for name in _TITLES
        if any(item["collection"] == name for item in items)
    ]


def _collection(name: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    title, description = _TITLES[name]
    boxes = list(zip(*(bbox_of(item["geometry"]) for item in items), strict=True))
    times = sorted(_start(item["properties"]) for item in items)
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/item-assets/v1.0.0/schema.json"],
        "id": name,
        "title": title,
        "description": description,
        "license": "proprietary",
        "keywords": ["simulated"],
        "extent": {
            "spatial": {"bbox": [[min(boxes[0]), min(boxes[1]), max(boxes[2]), max(boxes[3])]]},
            "temporal": {"interval": [[times[0], times[-1]]]},
        },
        "summaries": {},
        "item_assets": _assets(name, items[0]),
        "links": [],
    }


def _start(properties: dict[str, Any]) -> str:
    return str(properties["datetime"] or properties["start_datetime"])


def _assets(name: str, example: dict[str, Any]) -> dict[str, Any]:
    if name == "sentinel-1-rtc":
        return {key: {"type": COG, "roles": ["data"], "title": words[0]} for key, words in RADAR_TITLES.items()}
    keep = ("type", "roles", "title", "gsd", "eo:bands", "raster:bands", "classification:classes")
    return {key: {k: v for k, v in asset.items() if k in keep} for key, asset in example["assets"].items()}
