"""The chips of a version as STAC items in one stac-geoparquet file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from croma.building.report.places import corners
from croma.grid import PIXEL
from croma.shards.dataset import Dataset

STAC = "1.1.0"

EXTENSIONS = (
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/sat/v1.1.0/schema.json",
)

BATCH = 100_000
"""Items that are in memory at once."""

PROPERTIES = {
    "split": "train, val or test",
    "gap_hours": "radar minus optical time, hours",
    "radar_scene": "id of the radar product",
    "optical_scene": "id of the optical product",
    "baseline": "processing baseline of the optical product",
    "tile": "MGRS tile",
    "snow": "share of pixels",
    "optical_nodata": "share of pixels without a measurement",
    "radar_nodata": "share of pixels without a measurement",
    "resampled": "whether any band was resampled",
    "label": "land-cover code of most labelled pixels",
    "shard": "the tar that holds the chip",
    "offset": "bytes from the start of the tar",
    "length": "bytes of all planes",
    "crc32": "of those bytes",
}
"""Columns of the index that become properties `croma:…`, and what they mean."""

_NEAR_180 = 179.0
"""Degrees. Only chips beyond can cross the antimeridian."""

_BOX = ("xmin", "ymin", "xmax", "ymax")


def write_items(dataset: Dataset, path: Path) -> None:
    """Write an item for every chip, in the order of the index; assets are addresses relative to the file's folder."""
    first = _items(dataset, dataset.rows.slice(0, 0))
    meta = {"geo": json.dumps(_geo(dataset.rows)), "stac-geoparquet": json.dumps({"version": "1.0.0"})}
    schema = first.schema.with_metadata(meta)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, dataset.rows.num_rows, BATCH):
            writer.write_table(_items(dataset, dataset.rows.slice(start, BATCH)).cast(schema))


def footprints(dataset: Dataset, rows: pa.Table) -> tuple[Any, npt.NDArray[np.float64]]:
    """Outlines of chips in degrees, and their boxes (west, south, east, north); across 180° west is above east."""
    side = dataset.layout.size * PIXEL
    squares = corners(rows["epsg"].to_numpy(), rows["left"].to_numpy(), rows["top"].to_numpy(), side)
    shapes = shapely.polygons(squares)
    boxes = np.concatenate([squares.min(axis=1), squares.max(axis=1)], axis=1) if len(squares) else np.zeros((0, 4))
    for number in np.flatnonzero(boxes[:, 2] - boxes[:, 0] > 180):
        east_of = np.where(squares[number] < [0, -91], squares[number] + [360, 0], squares[number])
        whole = shapely.polygons(east_of)
        here = shapely.intersection(whole, shapely.box(0, -90, 180, 90))
        beyond = shapely.transform(shapely.intersection(whole, shapely.box(180, -90, 360, 90)), _back)
        shapes[number] = shapely.multipolygons([here, beyond])
        boxes[number, [0, 2]] = east_of[:, 0].min(), east_of[:, 0].max() - 360
    return shapes, boxes


def _back(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(points - [360, 0])


def _items(dataset: Dataset, rows: pa.Table) -> pa.Table:
    count = rows.num_rows
    shapes, boxes = footprints(dataset, rows)
    radar, optical = rows["radar_time"], rows["optical_time"]
    radar_first = pc.less(radar, optical)
    columns: dict[str, Any] = {
        "type": _repeated("Feature", count),
        "stac_version": _repeated(STAC, count),
        "stac_extensions": pa.array([list(EXTENSIONS)] * count, pa.list_(pa.string())),
        "id": rows["chip"],
        "collection": _repeated(dataset.header.name, count),
        "geometry": pa.array(shapely.to_wkb(shapes), pa.binary()),
        "bbox": pa.StructArray.from_arrays([pa.array(column) for column in boxes.T], _BOX),
        "datetime": rows["optical_time"],
        "start_datetime": pc.if_else(radar_first, radar, optical),
        "end_datetime": pc.if_else(radar_first, optical, radar),
        "links": _links(count),
        "assets": _assets(rows),
        "gsd": _repeated(float(PIXEL), count),
        "proj:code": pc.binary_join_element_wise("EPSG", pc.cast(rows["epsg"], pa.string()), ":"),
        **_grid(dataset, rows),
        "eo:cloud_cover": pc.multiply(rows["cloud"], 100.0),
        "sat:orbit_state": rows["orbit_state"],
        "sat:relative_orbit": rows["radar_relative_orbit"],
    }
    return pa.table(columns | {f"croma:{name}": rows[name] for name in PROPERTIES})


def _grid(dataset: Dataset, rows: pa.Table) -> dict[str, Any]:
    """The pixel grid of the 10 m bands."""
    size, count = dataset.layout.size, rows.num_rows
    left, top = (rows[name].to_numpy().astype(np.float64) for name in ("left", "top"))
    still = np.zeros(count)
    ten, side = np.full(count, float(PIXEL)), float(size * PIXEL)
    transform = np.stack([ten, still, left, still, -ten, top], axis=1)
    bounds = np.stack([left, top - side, left + side, top], axis=1)
    return {
        "proj:shape": pa.array([[size, size]] * count, pa.list_(pa.int64())),
        "proj:transform": pa.array(list(transform), pa.list_(pa.float64())),
        "proj:bbox": pa.array(list(bounds), pa.list_(pa.float64())),
    }


def _links(count: int) -> Any:
    link = {"rel": "collection", "href": "./collection.json", "type": "application/json"}
    kind = pa.list_(pa.struct([(name, pa.string()) for name in link]))
    return pa.array([[link]] * count, kind)


def _assets(rows: pa.Table) -> Any:
    """The shard; the properties say where in it the chip is."""
    count = rows.num_rows
    href = pc.binary_join_element_wise("../../shards/", rows["split"], "/", rows["shard"], ".tar", "").combine_chunks()
    parts = {
        "href": href,
        "type": _repeated("application/x-tar", count),
        "title": _repeated("Shard that holds the chip", count),
        "roles": pa.array([["data"]] * count, pa.list_(pa.string())),
    }
    shard = pa.StructArray.from_arrays(list(parts.values()), list(parts))
    return pa.StructArray.from_arrays([shard], ["shard"])


def _repeated(value: Any, count: int) -> Any:
    return pa.array([value] * count, pa.scalar(value).type)


def _geo(rows: pa.Table) -> dict[str, Any]:
    """GeoParquet's own metadata."""
    covering = {name: ["bbox", name] for name in _BOX}
    farthest = pc.max(pc.abs(rows["longitude"])).as_py() or 0
    kinds = ["Polygon", "MultiPolygon"] if farthest > _NEAR_180 else ["Polygon"]
    geometry = {"encoding": "WKB", "geometry_types": kinds, "covering": {"bbox": covering}}
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
