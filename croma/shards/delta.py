"""The door to Delta Lake: tables that only grow, by commits that are atomic and never add a row twice."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from croma import storage
from croma.errors import InputError, TransientError

ATTEMPTS = 50
"""How often a commit is tried when others commit at the same time."""

_KEEP = PostCommitHookProperties(cleanup_expired_logs=False)
"""Every version stays. Delta's own rule is to forget those older than a month at each hundredth commit."""


class Version(NamedTuple):
    """One commit."""

    number: int
    time: datetime
    added: int
    """Rows."""
    note: dict[str, str]
    """What the committer wrote: recipe, run, code version."""


def append(address: str, rows: pa.Table, key: str, note: Mapping[str, str]) -> int:
    """Add the rows whose `key` the table does not have, in one commit, and return the version that holds them all.

    The table is created where there is none. Of two that append at once one goes first and the other looks again.
    Without new rows no version is made.

    Raises:
        TransientError: others kept committing, or storage failed.
    """
    for _ in range(ATTEMPTS):
        table = _create_or_open(address, rows.schema)
        known = _column(table, key)
        new = rows.filter(pc.invert(pc.is_in(rows[key], value_set=known))) if len(known) else rows
        if not new.num_rows:
            return int(table.version())
        content = json.dumps({**note, "added": str(new.num_rows)}, sort_keys=True)
        try:
            # No retries inside: a retry would append blindly to what another has just written.
            properties = CommitProperties(custom_metadata={"croma": content}, max_commit_retries=0)
            write_deltalake(table, new, mode="append", commit_properties=properties, post_commithook_properties=_KEEP)
        except CommitFailedError:
            continue
        except (DeltaError, OSError) as error:
            raise TransientError(f"{address}: could not be written: {_said(error)}") from error
        return int(table.version())
    raise TransientError(f"{address}: {ATTEMPTS} commits in a row were overtaken by others; try again")


def read(address: str, version: int | None = None, columns: Sequence[str] | None = None) -> tuple[pa.Table, int]:
    """Rows of a version (the newest for None), and its number.

    Raises:
        InputError: there is no such version.
        FileNotFoundError: there is no table.
    """
    table = _open(address)
    newest = int(table.version())
    if version is not None and version > newest:
        raise InputError(f"{address}: no version {version}; versions 0 to {newest} exist")
    try:
        if version is not None:
            table.load_as_version(version)
        return table.to_pyarrow_table(columns=list(columns) if columns else None), int(table.version())
    except (DeltaError, OSError) as error:
        raise TransientError(f"{address}: could not be read: {_said(error)}") from error


def needed_files(address: str) -> set[str]:
    """Names of the data files that any version which can be opened needs, relative to the table.

    Raises:
        FileNotFoundError: there is no table.
    """
    table = _open(address)
    names = [name for name in storage.list_names(storage.join(address, "_delta_log")) if name.endswith(".json")]
    try:
        table.load_as_version(min(int(name.removesuffix(".json")) for name in names))
    except (DeltaError, OSError) as error:
        raise TransientError(f"{address}: could not be read: {_said(error)}") from error
    found = {uri.rpartition("/")[2] for uri in table.file_uris()}
    for name in names:
        for line in storage.read(storage.join(address, "_delta_log", name)).splitlines():
            if added := json.loads(line).get("add"):
                found.add(unquote(added["path"]))
    return found


def read_files(address: str, names: Iterable[str], columns: Sequence[str]) -> pa.Table:
    """Columns of some data files, whichever version they belong to."""
    parts = [
        pq.read_table(pa.BufferReader(storage.read(storage.join(address, name))), columns=list(columns))
        for name in sorted(names)
    ]
    return pa.concat_tables(parts) if parts else pa.table({name: pa.array([], pa.string()) for name in columns})


def exists(address: str) -> bool:
    """Whether there is a table."""
    # Through our own door, which says in a sentence when credentials are missing.
    return storage.exists(storage.join(address, "_delta_log"))


def history(address: str) -> list[Version]:
    """All commits, oldest first.

    Raises:
        FileNotFoundError: there is no table.
        TransientError: storage failed.
    """
    table = _open(address)
    try:
        entries = table.history()
    except (DeltaError, OSError) as error:
        raise TransientError(f"{address}: could not be read: {_said(error)}") from error
    versions = []
    for entry in entries:
        note = json.loads(entry.get("croma", "{}"))
        added = int(note.pop("added", "0"))
        time = datetime.fromtimestamp(entry["timestamp"] / 1000, UTC)
        versions.append(Version(int(entry["version"]), time, added, note))
    return sorted(versions)


def _column(table: DeltaTable, key: str) -> pa.Array:
    try:
        return table.to_pyarrow_table(columns=[key]).column(key).combine_chunks()
    except (DeltaError, OSError) as error:
        raise TransientError(f"{table.table_uri}: could not be read: {_said(error)}") from error


def _create_or_open(address: str, schema: pa.Schema) -> DeltaTable:
    try:
        # No retries inside, as in `append`: a first commit whose answer is lost would be made again, as version 1.
        return DeltaTable.create(
            address,
            schema,
            mode="ignore",
            storage_options=storage.delta_options(address),
            commit_properties=CommitProperties(max_commit_retries=0),
        )
    except CommitFailedError:
        return _open(address)
    except (DeltaError, OSError) as error:
        raise TransientError(f"{address}: could not be created: {_said(error)}") from error


def _open(address: str) -> DeltaTable:
    if not exists(address):
        raise FileNotFoundError(address)
    try:
        return DeltaTable(address, storage_options=storage.delta_options(address))
    except TableNotFoundError as error:
        raise FileNotFoundError(address) from error
    except (DeltaError, OSError) as error:
        raise TransientError(f"{address}: could not be read: {_said(error)}") from error


def _said(error: Exception) -> str:
    """A vendor's tree of causes, coloured for a terminal, as one line."""
    return " ".join(re.sub(r"\x1b\[\d*m|↳", "", str(error)).split())[:300]
