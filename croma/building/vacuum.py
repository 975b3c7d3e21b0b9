"""Removing from a dataset what no version of it needs: leftovers of builds that were killed, overtaken or refused.

A dataset only grows, so a version needs the shards of all before it, and every version that can be opened is kept.
What builds may still be working on is told by age: a plan is alive while any of its files, shards or cards is young.
"""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from croma import storage
from croma.errors import ContractError
from croma.shards import index, ledger
from croma.shards.dataset import read_header
from croma.shards.delta import exists, needed_files, read_files
from croma.storage import Entry

AGE = timedelta(days=7)
"""What is younger is left alone. A build that goes on writes something far more often."""


class Waste(NamedTuple):
    """Files that belong together and that no version needs."""

    kind: str
    """What they are, to count by."""
    entries: tuple[Entry, ...]
    """In the order in which they must go."""
    shard: str | None = None
    """The id of the shard they are."""


def find_waste(uri: str, age: timedelta = AGE) -> list[Waste]:
    """What no version of the dataset at `uri` needs and nobody has touched for `age`.

    Raises:
        InputError: there is no dataset.
        TransientError: storage does not answer.
    """
    read_header(uri)
    # Listed first: what appears later is not in it, and is young.
    files = {name: storage.walk(storage.join(uri, name)) for name in ("plans", "shards", "cards", "versions")}
    before = time.time() - age.total_seconds()
    needed, shards = needed_shards(uri), _by_shard(files["cards"] + files["shards"])
    alive, dead = _plans(uri, files["plans"], shards, needed, before)
    needed |= alive
    found = [Waste("plan", tuple(entries)) for entries in dead]
    found += [Waste("shard", tuple(entries), shard) for shard, entries in shards.items() if shard not in needed]
    found += [Waste("report", (entry,)) for entry in _reports_of_nothing(uri, files["versions"])]
    found += _tables(uri)
    found += [Waste("temporary", (entry,)) for entries in files.values() for entry in entries if _temporary(entry)]
    return [waste for waste in found if all(entry.modified < before for entry in waste.entries)]


def remove_waste(uri: str, waste: Iterable[Waste], age: timedelta = AGE) -> list[Waste]:
    """Remove what `find_waste` found, but for what has been touched or has become needed since. Returns what is gone.

    Raises:
        ContractError: a build committed a shard in the moment it was removed; names it. Build again to restore it.
    """
    needed, gone = needed_shards(uri), []
    for one in waste:
        if one.shard not in needed and _untouched(one, time.time() - age.total_seconds()):
            for entry in one.entries:
                storage.remove(entry.address)
            gone.append(one)
    storage.prune(storage.join(uri, "plans"))
    lost = sorted(needed_shards(uri) & {one.shard for one in gone if one.shard})
    if lost:
        raise ContractError(
            f"{uri}: shards {', '.join(lost)} were committed while they were removed: restore them from a copy"
        )
    return gone


def needed_shards(uri: str) -> set[str]:
    """Ids of the shards that any version needs."""
    address = index.index_address(uri)
    if not exists(address):
        return set()
    return set(read_files(address, needed_files(address), ["shard"])["shard"].unique().to_pylist())


def _by_shard(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Cards and shards by id, the card first: where no card is, a build cuts the shard again."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        if not _temporary(entry):
            found.setdefault(_stem(entry), []).append(entry)
    return found


def _plans(
    uri: str, entries: Iterable[Entry], shards: dict[str, list[Entry]], needed: set[str], before: float
) -> tuple[set[str], list[list[Entry]]]:
    """Shards that builds may still be filling, and the files of each plan that nobody works on."""
    folders: dict[str, list[Entry]] = {}
    for entry in entries:
        if not _temporary(entry):
            folders.setdefault(entry.address.removeprefix(storage.join(uri, "plans")).split("/")[1], []).append(entry)
    planned = [(files, _planned(files)) for files in folders.values()]
    parts = _parts(shards, needed.union(*(ids for _, ids in planned)))
    alive, dead = set[str](), []
    for files, ids in planned:
        ids |= {shard for shard, plan in parts.items() if plan in ids}
        touched = [entry for shard in ids for entry in shards.get(shard, [])]
        if any(entry.modified >= before for entry in (*files, *touched)):
            alive |= ids
        else:
            dead.append(sorted(files, key=lambda entry: not entry.address.endswith("/plan.json")))
    return alive, dead


def _parts(shards: dict[str, list[Entry]], known: set[str]) -> dict[str, str]:
    """The plan of each other shard: one that was cut without some files has an id of its own."""
    found = {}
    for shard, (first, *_) in shards.items():
        if shard not in known and first.address.endswith(".json"):
            with suppress(FileNotFoundError):  # a vacuum beside us
                found[shard] = str(json.loads(storage.read(first.address))["plan"])
    return found


def _planned(files: Iterable[Entry]) -> set[str]:
    address = next((entry.address for entry in files if entry.address.endswith("/shards.parquet")), None)
    if address is None:
        return set()
    return set(pq.read_table(pa.BufferReader(storage.read(address)), columns=["id"])["id"].to_pylist())


def _reports_of_nothing(uri: str, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Files of versions that there are not."""
    root = storage.join(uri, "versions")
    if not exists(index.index_address(uri)):
        return
    known = {str(version.number) for version in index.versions(uri)}
    for entry in entries:
        if entry.address.removeprefix(root).split("/")[1] not in known and not _temporary(entry):
            yield entry


def _tables(uri: str) -> Iterator[Waste]:
    """Data files of commits that others overtook."""
    for address in (index.index_address(uri), ledger.ledger_address(uri)):
        if not exists(address):
            continue
        written = storage.walk(address)
        needed = needed_files(address)
        for entry in written:
            name = entry.address.removeprefix(address).lstrip("/")
            if name.endswith(".parquet") and not name.startswith("_delta_log") and name not in needed:
                yield Waste("table file", (entry,))


def _untouched(waste: Waste, before: float) -> bool:
    try:
        return all(storage.modified(entry.address) < before for entry in waste.entries)
    except FileNotFoundError:
        return False


def _temporary(entry: Entry) -> bool:
    """Whether a file is half written: see `croma.storage.write`."""
    name = entry.address.rpartition("/")[2]
    return name.startswith(".") and name.endswith(".tmp")


def _stem(entry: Entry) -> str:
    return entry.address.rpartition("/")[2].partition(".")[0]
