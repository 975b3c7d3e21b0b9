"""The index of a dataset: a Delta table with one row a chip. A version of the table is a version of the dataset.

The only file that knows Delta Lake. Version 0 is the empty table; every commit that adds chips makes the next version.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from croma import storage
from croma.errors import ContractError, InputError, TransientError
from croma.shards.card import ChipRow, ShardCard

ATTEMPTS = 50
"""How often a commit is tried when others commit at the same time."""

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


class Version(NamedTuple):
    """One commit."""

    number: int
    time: datetime
    added: int
    """Chips."""
    note: dict[str, str]
    """What the committer wrote: recipe, run, code version."""


def index_address(uri: str) -> str:
    """Where the index of the dataset at `uri` is."""
    return storage.join(uri, "index")


def commit(uri: str, cards: Iterable[ShardCard], note: Mapping[str, str]) -> int:
    """Add the chips of finished shards to the index in one atomic commit, and return the version that holds them.

    Chips that the index already has are not added again, whoever added them: of two builds that commit at once one goes
    first and the other looks again. Without new chips no version is made.

    Raises:
        TransientError: others kept committing, or storage failed.
    """
    rows = [row for card in cards for row in card.rows]
    for _ in range(ATTEMPTS):
        table = _create_or_load(uri)
        new = _unknown(rows, table)
        if not new:
            return int(table.version())
        try:
            # No retries inside: a retry would append blindly to what another build has just written.
            properties = CommitProperties(
                custom_metadata={"croma": json.dumps({**note, "added": str(len(new))}, sort_keys=True)},
                max_commit_retries=0,
            )
            write_deltalake(table, to_arrow(new), mode="append", commit_properties=properties)
        except CommitFailedError:
            continue
        except (DeltaError, OSError) as error:
            raise TransientError(f"dataset {uri}: the index could not be written: {error}") from error
        return int(table.version())
    raise TransientError(f"dataset {uri}: {ATTEMPTS} commits in a row were overtaken by others; try again")


def load(uri: str, version: int | None) -> tuple[pa.Table, int]:
    """All rows of a version, ordered by shard and offset, and its number (the newest for None).

    Raises:
        InputError: there is no such dataset or version.
    """
    table = _open(uri, version)
    rows: pa.Table = table.to_pyarrow_table()
    order = pc.sort_indices(rows, [("shard", "ascending"), ("offset", "ascending")])
    return rows.take(order).cast(SCHEMA), int(table.version())


def known_chips(uri: str) -> set[str]:
    """Ids of all chips in the newest version; empty where there is no dataset yet."""
    if not _is_table(uri):
        return set()
    column = _open(uri, None).to_pyarrow_table(columns=["chip"]).column("chip")
    return set(column.to_pylist())


def versions(uri: str) -> list[Version]:
    """The history, oldest first.

    Raises:
        InputError: there is no such dataset.
    """
    history = []
    for entry in _open(uri, None).history():
        note = json.loads(entry.get("croma", "{}"))
        added = int(note.pop("added", "0"))
        time = datetime.fromtimestamp(entry["timestamp"] / 1000, UTC)
        history.append(Version(int(entry["version"]), time, added, note))
    return sorted(history)


def to_arrow(rows: Sequence[ChipRow]) -> pa.Table:
    """Rows of the index as an Arrow table with `SCHEMA`."""
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names}
    columns["label_shares"] = [None if shares is None else sorted(shares.items()) for shares in columns["label_shares"]]
    return pa.table(columns, schema=SCHEMA)


def _unknown(rows: Sequence[ChipRow], table: DeltaTable) -> list[ChipRow]:
    known = set(table.to_pyarrow_table(columns=["chip"]).column("chip").to_pylist())
    new: dict[str, ChipRow] = {}
    for row in rows:
        if row.chip in new and new[row.chip] != row:
            raise ContractError(f"chip {row.chip} is in two shards: {new[row.chip].shard} and {row.shard}")
        if row.chip not in known:
            new[row.chip] = row
    return list(new.values())


def _create_or_load(uri: str) -> DeltaTable:
    address = index_address(uri)
    try:
        return DeltaTable.create(address, SCHEMA, mode="ignore", storage_options=storage.delta_options(address))
    except CommitFailedError:
        return _open(uri, None)
    except (DeltaError, OSError) as error:
        raise TransientError(f"dataset {uri}: the index could not be created: {error}") from error


def _is_table(uri: str) -> bool:
    address = index_address(uri)
    return DeltaTable.is_deltatable(address, storage.delta_options(address))


def _open(uri: str, version: int | None) -> DeltaTable:
    address = index_address(uri)
    if not _is_table(uri):
        raise InputError(f"dataset {uri}: there is none; build it first, or check the address")
    try:
        table = DeltaTable(address, storage_options=storage.delta_options(address))
        newest = int(table.version())
        if version is not None and version > newest:
            raise InputError(f"dataset {uri}: no version {version}; versions 0 to {newest} exist")
        if version is not None:
            table.load_as_version(version)
    except TableNotFoundError:
        raise InputError(f"dataset {uri}: its index is damaged or gone") from None
    except (DeltaError, OSError) as error:
        raise TransientError(f"dataset {uri}: the index could not be read: {error}") from error
    return table
