"""A version as a STAC collection."""

from typing import Any

import numpy as np
import pyarrow.compute as pc

from croma.building.publish.items import BATCH, EXTENSIONS, STAC, footprints
from croma.building.publish.sources import sources_of
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A
from croma.shards.dataset import Dataset
from croma.shards.delta import Version

Json = dict[str, Any]

_VERSIONED = "https://stac-extensions.github.io/version/v1.2.0/schema.json"

FILES = {
    "items": ("items.parquet", "application/vnd.apache.parquet", "A STAC item for every chip", ["collection-mirror"]),
    "croissant": ("croissant.json", "application/ld+json", "Croissant metadata", ["metadata"]),
    "card": ("README.md", "text/markdown", "Dataset card", ["metadata"]),
    "report": ("report.html", "text/html", "Report: checks, map, counts, bands, pairs", ["overview"]),
}
"""What lies beside the collection: file, media type, title, roles."""


def collection(dataset: Dataset, version: Version, description: str) -> Json:
    """The STAC collection of a version."""
    rows = dataset.rows
    times = [pc.min_max(rows[name]).as_py() for name in ("radar_time", "optical_time")]
    first, last = min(span["min"] for span in times), max(span["max"] for span in times)
    sources = sources_of(dataset.header.sources)
    return {
        "type": "Collection",
        "stac_version": STAC,
        "stac_extensions": [*EXTENSIONS, _VERSIONED],
        "id": dataset.header.name,
        "title": f"{dataset.header.name}: paired radar and optical chips",
        "description": description,
        "version": str(version.number),
        "keywords": ["Sentinel-1", "Sentinel-2", "pretraining", "radar", "multispectral"],
        "license": "other",
        "providers": [
            {"name": name, "roles": ["producer", "licensor"]}
            for name in dict.fromkeys(source.provider for source in sources)
        ],
        "extent": {
            "spatial": {"bbox": [_bounds(dataset)]},
            "temporal": {"interval": [[first.isoformat(), last.isoformat()]]},
        },
        "summaries": _summaries(dataset),
        "links": [
            {"rel": "root", "href": "./collection.json", "type": "application/json"},
            *({"rel": "license", "href": source.terms, "title": source.licence} for source in sources if source.terms),
            *({"rel": "via", "href": source.page, "title": source.title} for source in sources if source.page),
        ],
        "assets": {
            key: {"href": f"./{name}", "type": kind, "title": title, "roles": roles}
            for key, (name, kind, title, roles) in FILES.items()
        },
    }


def _summaries(dataset: Dataset) -> Json:
    rows = dataset.rows
    bands = [*SENTINEL_1_RTC.bands, *SENTINEL_2_L2A.bands]
    return {
        "gsd": sorted({band.resolution for band in bands}),
        "bands": [{"name": band.name, "gsd": band.resolution} for band in bands],
        "proj:code": [f"EPSG:{epsg}" for epsg in sorted(rows["epsg"].unique().to_pylist())],
        "sat:orbit_state": sorted(filter(None, rows["orbit_state"].unique().to_pylist())),
        "croma:split": sorted(rows["split"].unique().to_pylist()),
    }


def _bounds(dataset: Dataset) -> list[float]:
    """West, south, east, north of all chips; west is above east where the chips lie on both sides of 180°."""
    boxes = np.concatenate(
        [footprints(dataset, dataset.rows.slice(start, BATCH))[1] for start in range(0, dataset.rows.num_rows, BATCH)]
    )
    west, east = boxes[:, 0], boxes[:, 2]
    if np.ptp(np.concatenate([west, east]) % 360) < np.ptp(np.concatenate([west, east])):
        # Seen from Greenwich eastward the chips are nearer together: a box across the antimeridian.
        lowest, highest = (west % 360).min(), (east % 360).max()
        west_most, east_most = (lowest + 180) % 360 - 180, (highest + 180) % 360 - 180
    else:
        west_most, east_most = west.min(), east.max()
    return [float(value) for value in (west_most, boxes[:, 1].min(), east_most, boxes[:, 3].max())]
