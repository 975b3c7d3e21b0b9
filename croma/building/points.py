"""Points from a file: CSV, GeoJSON or GeoParquet."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from croma import storage
from croma.errors import InputError
from croma.places import Floats

MOST_PROBLEMS = 5


def read_points(address: str) -> tuple[Floats, Floats]:
    """Longitudes and latitudes of the points of a file, in its order; shape (n,) each.

    Raises:
        InputError: the file is missing, of another kind, empty, or has points that are not on Earth.
    """
    try:
        data = storage.read(address)
    except FileNotFoundError:
        raise InputError(f"the file of points {address} does not exist") from None
    suffix = address.rsplit(".", 1)[-1].lower()
    readers = {"csv": _csv, "json": _geojson, "geojson": _geojson, "parquet": _parquet, "geoparquet": _parquet}
    if suffix not in readers:
        raise InputError(f"{address}: points are read from .csv, .geojson and .parquet, not from .{suffix}")
    rows = readers[suffix](data, address)
    if len(rows) == 0:
        raise InputError(f"{address} has no points")
    _check(rows, address)
    return rows[:, 0], rows[:, 1]


def _csv(data: bytes, address: str) -> Floats:
    lines = [line for line in data.decode().splitlines() if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(io.StringIO("\n".join(lines)))
    missing = {"longitude", "latitude"} - set(reader.fieldnames or ())
    if missing:
        raise InputError(f"{address} has no column {' and no column '.join(sorted(missing))}")
    return _numbers(((row["longitude"], row["latitude"]) for row in reader), address)


def _geojson(data: bytes, address: str) -> Floats:
    try:
        features = json.loads(data)["features"]
        shapes = [feature["geometry"] for feature in features]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{address} is not a GeoJSON FeatureCollection") from None
    kinds = {shape["type"] if shape else "null" for shape in shapes} - {"Point"}
    if kinds:
        raise InputError(f"{address} has geometries that are no points: {', '.join(sorted(kinds))}")
    return _numbers((shape["coordinates"][:2] for shape in shapes), address)


def _parquet(data: bytes, address: str) -> Floats:
    try:
        table = pq.read_table(pa.BufferReader(data))
    except pa.ArrowInvalid:
        raise InputError(f"{address} is not a Parquet file") from None
    if {"longitude", "latitude"} <= set(table.column_names):
        return _numbers(zip(table["longitude"].to_pylist(), table["latitude"].to_pylist(), strict=True), address)
    if "geometry" not in table.column_names:
        raise InputError(f"{address} has neither a column geometry nor longitude and latitude")
    shapes = shapely.from_wkb(np.array(table["geometry"].to_pylist(), object))
    if not (shapely.get_type_id(shapes) == 0).all():
        raise InputError(f"{address} has geometries that are no points")
    return np.asarray(shapely.get_coordinates(shapes), np.float64).reshape(-1, 2)


def _numbers(rows: Iterable[Any], address: str) -> Floats:
    numbers = []
    for line, (longitude, latitude) in enumerate(rows, 1):
        try:
            numbers.append((float(longitude), float(latitude)))
        except (TypeError, ValueError):
            raise InputError(f"{address}: point {line} is not two numbers: {longitude!r}, {latitude!r}") from None
    return np.array(numbers, np.float64).reshape(-1, 2)


def _check(rows: Floats, address: str) -> None:
    longitude, latitude = rows.T
    good = np.isfinite(rows).all(axis=1) & (np.abs(longitude) <= 360) & (np.abs(latitude) <= 90)
    [bad] = np.nonzero(~good)
    if len(bad):
        raise InputError(
            *(f"{address}: point {n + 1} is not on Earth: {tuple(rows[n].tolist())}" for n in bad[:MOST_PROBLEMS]),
            *([f"{address}: and {len(bad) - MOST_PROBLEMS} more"] if len(bad) > MOST_PROBLEMS else []),
        )
