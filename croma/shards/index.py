"""The index of a dataset: a Delta table with one row a chip. A version of the table is a version of the dataset.

Version 0 is the empty table; every commit that adds chips makes the next version.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from croma import storage
from croma.errors import ContractError, InputError
from croma.shards import delta
from croma.shards.card import ChipRow, ShardCard

_TIME = pa.timestamp("us", tz="UTC")

SCHEMA = pa.schema(
    [
        pa.field("chip", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("crc32", pa.int64(), nullable=False),
        pa.field("epsg", pa.int32(), nullable=False),
        pa.field("left", pa.int32(), nullable=False),
        pa.field("top", pa.int32(), nullable=False),
        pa.field("longitude", pa.float64()),
        pa.field("latitude", pa.float64()),
        pa.field("radar_scene", pa.string()),
        pa.field("optical_scene", pa.string()),
        pa.field("radar_time", _TIME),
        pa.field("optical_time", _TIME),
        pa.field("gap_hours", pa.float64()),
        pa.field("orbit_state", pa.string()),
        pa.field("radar_relative_orbit", pa.int32()),
        pa.field("optical_relative_orbit", pa.int32()),
        pa.field("baseline", pa.float64()),
        pa.field("tile", pa.string()),
        pa.field("cloud", pa.float64()),
        pa.field("snow", pa.float64()),
        pa.field("optical_nodata", pa.float64()),
        pa.field("radar_nodata", pa.float64()),
        pa.field("resampled", pa.bool_()),
        pa.field("reader", pa.string()),
        pa.field("label", pa.int32()),
        pa.field("label_shares", pa.map_(pa.int32(), pa.float64())),
    ]
)
"""The fields of `ChipRow`, as Arrow types."""


def index_address(uri: str) -> str:
    """Where the index of the dataset at `uri` is."""
    return storage.join(uri, "index")


def commit(uri: str, cards: Iterable[ShardCard], note: Mapping[str, str]) -> int:
    """Add the chips of finished shards to the index in one atomic commit, and return the version that holds them.

    Chips that the index already has are not added again, whoever added them. Of each card its rows alone are kept, in
    Arrow: some 400 bytes a chip.

    Raises:
        ContractError: a chip is in two of the shards.
        TransientError: others kept committing, or storage failed.
    """
    rows = pa.concat_tables([SCHEMA.empty_table(), *(to_arrow(card.rows) for card in cards)])
    if pc.count_distinct(rows["chip"]).as_py() < rows.num_rows:
        _blame(rows)
    return delta.append(index_address(uri), rows, "chip", note)


def _blame(rows: pa.Table) -> None:
    chips = pc.value_counts(rows["chip"])
    chip = chips.filter(pc.greater(chips.field("counts"), 1))[0]["values"]
    one, other, *_ = rows.filter(pc.equal(rows["chip"], chip))["shard"].to_pylist()
    raise ContractError(f"chip {chip} is in two shards: {one} and {other}")


def load(uri: str, version: int | None) -> tuple[pa.Table, int]:
    """All rows of a version, ordered by shard and offset, and its number (the newest for None).

    Raises:
        InputError: there is no such dataset or version.
    """
    try:
        rows, number = delta.read(index_address(uri), version)
    except FileNotFoundError:
        raise InputError(f"dataset {uri}: there is none; build it first, or check the address") from None
    order = pc.sort_indices(rows, [("shard", "ascending"), ("offset", "ascending")])
    return rows.take(order).cast(SCHEMA), number


def known_chips(uri: str) -> set[str]:
    """Ids of all chips in the newest version; empty where there is no dataset yet."""
    if not delta.exists(index_address(uri)):
        return set()
    return set(delta.read(index_address(uri), columns=["chip"])[0]["chip"].to_pylist())


def versions(uri: str) -> list[delta.Version]:
    """The history, oldest first.

    Raises:
        InputError: there is no such dataset.
    """
    try:
        return delta.history(index_address(uri))
    except FileNotFoundError:
        raise InputError(f"dataset {uri}: there is none; build it first, or check the address") from None


def to_arrow(rows: Sequence[ChipRow]) -> pa.Table:
    """Rows of the index as an Arrow table with `SCHEMA`."""
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names}
    columns["label_shares"] = [None if shares is None else sorted(shares.items()) for shares in columns["label_shares"]]
    return pa.table(columns, schema=SCHEMA)
