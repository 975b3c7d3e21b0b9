"""Searching STAC items in stac-geoparquet files: for areas so large that a STAC API times out, or bans who asks.

An address is a Parquet file or a folder of them, local or on S3. `{collection}` in it stands for the collection's name,
since providers keep one snapshot for each. Rows are narrowed by the boxes and times in the file, and then filtered as
the items of any server are.
"""

import logging
from collections.abc import Iterator
from datetime import datetime
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds
import shapely
from pyarrow import ArrowInvalid
from pyarrow.fs import FileSystem, LocalFileSystem

from croma.catalog.dialects import Dialect
from croma.catalog.footprint import area_in_degrees
from croma.catalog.found import Found, from_items
from croma.catalog.query import Query, queries
from croma.errors import InputError, TransientError
from croma.extent import AreaOfInterest, TimeWindow

logger = logging.getLogger(__name__)

Item = dict[str, Any]
NOT_PROPERTIES = {"type", "stac_version", "stac_extensions", "id", "collection", "geometry", "bbox", "links", "assets"}


def search_snapshot(
    address: str,
    dialect: Dialect,
    collection: str,
    area: AreaOfInterest,
    window: TimeWindow | None,
    *,
    label_asset: str | None = None,
) -> Found:
    """As `croma.catalog.search.search`, over a snapshot.

    Raises:
        InputError: there is no such snapshot, it is not stac-geoparquet, or it lacks the collection.
        TransientError: the storage does not answer.
    """
    name = dialect.collection(collection)
    place = address.replace("{collection}", name)
    rows = _open(place)
    shape = area_in_degrees(area)
    condition = reduce(or_, [_condition(rows.schema, query) for query in queries(name, shape, window, limit=1)])
    items = {str(item.get("id")): item for item in _items(rows, condition, place, name)}
    found = from_items(items.values(), dialect, collection, shape, window, label_asset)
    if not found.scenes and not found.refused:
        _check_collection(rows, place, name)
    return found


def _open(place: str) -> ds.Dataset:
    try:
        system, path = _file_system(place)
        rows = ds.dataset(path, format="parquet", filesystem=system)
    except FileNotFoundError:
        raise InputError(f"the snapshot {place} does not exist") from None
    except ArrowInvalid as error:
        raise InputError(f"{place} is not a Parquet file: {_first_line(error)}") from None
    except OSError as error:
        raise TransientError(f"the snapshot {place} cannot be read: {_first_line(error)}") from None
    missing = {"id", "geometry", "assets"} - set(rows.schema.names)
    if missing:
        raise InputError(f"{place} is not stac-geoparquet: it has no column {', '.join(sorted(missing))}")
    return rows


def _file_system(place: str) -> tuple[FileSystem, str]:
    if "://" in place:
        system, path = FileSystem.from_uri(place)
        return system, path
    return LocalFileSystem(), str(Path(place).resolve())


def _condition(schema: Any, query: Query) -> ds.Expression:
    """Rows that may match a query: by the columns that say it without looking at the item."""
    conditions = [pc.scalar(True)]
    if "collection" in schema.names:
        conditions.append(pc.field("collection") == query.collection)
    if query.time is not None and "datetime" in schema.names:
        moment, (first, last) = pc.field("datetime"), query.time
        conditions.append(moment.is_null() | ((moment >= first) & (moment <= last)))
    if "bbox" in schema.names:
        west, south, east, north = query.area.bounds
        x0, y0, x1, y1 = (pc.field("bbox", name) for name in ("xmin", "ymin", "xmax", "ymax"))
        across = x0 > x1  # a box that crosses the antimeridian
        meets = (x0 <= east) & (x1 >= west) & (y0 <= north) & (y1 >= south)
        conditions.append(x0.is_null() | meets | across)
    return reduce(lambda a, b: a & b, conditions)


def _items(rows: ds.Dataset, condition: ds.Expression, place: str, collection: str) -> Iterator[Item]:
    try:
        for batch in rows.to_batches(filter=condition, batch_size=4096):
            for row in batch.to_pylist():
                yield _item(row, collection)
    except OSError as error:
        raise TransientError(f"the snapshot {place} cannot be read: {_first_line(error)}") from None


def _item(row: dict[str, Any], collection: str) -> Item:
    """A row as the item it was made of: without what only fills the columns of other items."""
    properties = {name: value for name, value in row.items() if name not in NOT_PROPERTIES}
    geometry = None if row["geometry"] is None else shapely.geometry.mapping(shapely.from_wkb(row["geometry"]))
    return {
        "type": "Feature",
        "id": row["id"],
        "collection": row.get("collection") or collection,
        "geometry": geometry,
        "properties": _filled(properties),
        "assets": _filled(row["assets"] or {}),
        "links": _filled(row.get("links") or []),
    }


def _filled(value: Any) -> Any:
    """`value` without nulls, times as text."""
    if isinstance(value, dict):
        return {name: _filled(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_filled(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _check_collection(rows: ds.Dataset, place: str, name: str) -> None:
    if "collection" not in rows.schema.names:
        return
    known = set(rows.to_table(columns=["collection"]).column(0).unique().to_pylist())
    if name not in known:
        raise InputError(f"the catalog {place} has no collection {name!r}; it has {', '.join(sorted(known))}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
