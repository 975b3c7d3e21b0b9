"""A plan in columns, in memory or in storage, from which shard plans are made one at a time.

In storage a plan is a folder of Parquet: `shards` (id, split and size of each), `scenes` (one row each, as JSON), and
`pairs/00000…` with the pairs of some shards each: cell, scenes and labels by number. What can be computed from these is
not kept. Nothing is signed.
"""

import io
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from croma import storage
from croma.building.layers import Members
from croma.building.lazy import Lazy
from croma.building.shard_plan import Cutting, ShardPlan, shard_id
from croma.catalog.scene import Scene
from croma.chip import SPLITS, chip_id
from croma.document import digest
from croma.errors import InputError
from croma.grid import Cell
from croma.pairing import Pair
from croma.places import Integers, Places

SHARDS_A_FILE = 64
FORMAT = 1


class Rows(NamedTuple):
    """Pairs by column, in the order in which they are written; each has shape (n,)."""

    keys: Integers
    """Places (`Places.keys`)."""
    optical: Integers
    """Number of the scene, as the two below."""
    radar: Integers
    labels: Integers
    """Number of the set of label scenes."""

    def part(self, first: int, last: int) -> "Rows":
        """Rows `first` to `last` - 1."""
        return Rows(*(column[first:last] for column in self))


class Book:
    """A plan in columns.

    Args:
        cutting: how chips are cut.
        splits: of each shard, as numbers into `croma.chip.SPLITS`.
        read: the rows of a shard, by its number.
        scenes: of all sensors and layers; rows name them by position.
        sets: sets of label scenes, as positions in `scenes`.
    """

    def __init__(
        self,
        cutting: Cutting,
        splits: Sequence[int],
        read: Callable[[int], Rows],
        scenes: Sequence[Scene],
        sets: Sequence[Members],
    ) -> None:
        self.cutting = cutting
        self.splits = splits
        self.rows = read
        self.scenes = scenes
        self.sets = sets
        self._scene = lru_cache(maxsize=4096)(scenes.__getitem__)
        self._print = lru_cache(maxsize=65_536)(lambda number: self._scene(number).fingerprint)
        self._tail = lru_cache(maxsize=65_536)(self._shared)

    @property
    def shards(self) -> Sequence[ShardPlan]:
        """All shard plans, each made when it is asked for."""
        return Lazy(len(self.splits), self.shard)

    def shard(self, number: int) -> ShardPlan:
        """The plan of one shard."""
        rows = self.rows(number)
        return ShardPlan(
            split=SPLITS[self.splits[number]],
            pairs=tuple(
                Pair(chip=chip, cell=cell, radar=radar, optical=optical, gap_hours=gap, labels=labels)
                for chip, cell, radar, optical, gap, labels in self._pairs(rows)
            ),
            scenes=tuple(self._scene(i) for i in self._used(rows)),
            **{name: getattr(self.cutting, name) for name in Cutting.model_fields},
        )

    def id(self, number: int) -> str:
        """The id of one shard: as `shard(number).id`, without making its objects."""
        rows = self.rows(number)
        lines = (
            json.dumps([chip, *cell, radar, optical, gap, *labels])
            for chip, cell, radar, optical, gap, labels in self._pairs(rows)
        )
        prints = (self._print(i) for i in self._used(rows))
        return shard_id(SPLITS[self.splits[number]], self.cutting.fingerprint, lines, prints)

    def _pairs(self, rows: Rows) -> list[tuple[str, Cell, str, str, float, tuple[str, ...]]]:
        places = Places.from_keys(rows.keys)
        columns = (column.tolist() for column in (*places, rows.optical, rows.radar, rows.labels))
        found = []
        for epsg, left, top, optical, radar, labels in zip(*columns, strict=True):
            cell, (tail, other, one, gap, members) = Cell(epsg, left, top), self._tail(optical, radar, labels)
            found.append((f"{cell}_{tail}", cell, other, one, gap, members))
        return found

    def _shared(self, optical: int, radar: int, labels: int) -> tuple[str, str, str, float, tuple[str, ...]]:
        """What all chips of two scenes and a set of labels share: the end of their ids, and all else but the cell."""
        one, other = self._scene(optical), self._scene(radar)
        nowhere = Cell(0, 0, 0)
        tail = chip_id(nowhere, one.time, other.id, one.id).removeprefix(f"{nowhere}_")
        gap = round((other.time - one.time).total_seconds() / 3600, 4)
        return tail, other.id, one.id, gap, tuple(self._scene(i).id for i in self.sets[labels])

    def _used(self, rows: Rows) -> list[int]:
        numbers = {*np.unique(rows.optical).tolist(), *np.unique(rows.radar).tolist()}
        numbers.update(i for s in np.unique(rows.labels).tolist() for i in self.sets[s])
        return sorted(numbers, key=lambda i: (self._scene(i).collection, self._scene(i).id))


def store(book: Book, root: str) -> tuple[str, tuple[str, ...]]:
    """Write a plan below `root`, in a folder that its content names. A plan that is there is left as it is.

    Returns:
        The address of its folder, and the ids of its shards.
    """
    count = len(book.splits)
    ids = tuple(book.id(number) for number in range(count))
    address = storage.join(root, digest([FORMAT, *ids]))
    head = storage.join(address, "plan.json")
    if storage.exists(head):
        storage.write(head, storage.read(head))  # so that a vacuum sees that it is wanted
        return address, ids
    for first in range(0, count, SHARDS_A_FILE):
        parts = [book.rows(number) for number in range(first, min(first + SHARDS_A_FILE, count))]
        place = storage.join(address, "pairs", f"{first // SHARDS_A_FILE:05d}.parquet")
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in Rows._fields}
        shard = np.repeat(np.arange(first, first + len(parts)), [len(part.keys) for part in parts])
        _write(pa.table({"shard": shard, **columns}), place)
    scenes = [json.dumps(scene.model_dump(mode="json"), separators=(",", ":")) for scene in book.scenes]
    _write(pa.table({"scene": pa.array(scenes, pa.string())}), storage.join(address, "scenes.parquet"))
    shards = {"id": pa.array(ids, pa.string()), "split": pa.array([SPLITS[s] for s in book.splits], pa.string())}
    _write(pa.table(shards), storage.join(address, "shards.parquet"))
    content = {"format": FORMAT, "cutting": book.cutting.model_dump(mode="json"), "sets": [list(s) for s in book.sets]}
    storage.write(head, json.dumps(content).encode())  # last: a plan that has it is whole
    return address, ids


@lru_cache(maxsize=4)
def load(address: str) -> tuple[Book, dict[str, int]]:
    """A plan that `store` wrote, and the number of each shard by its id. Pairs are read when they are asked for.

    Raises:
        InputError: there is no plan.
    """
    try:
        head = json.loads(storage.read(storage.join(address, "plan.json")))
    except FileNotFoundError:
        raise InputError(f"there is no plan at {address}") from None
    shards = _read(storage.join(address, "shards.parquet"))
    texts = _read(storage.join(address, "scenes.parquet"))["scene"].to_pylist()
    piece = lru_cache(maxsize=2)(lambda number: _read(storage.join(address, "pairs", f"{number:05d}.parquet")))

    def rows(number: int) -> Rows:
        table = piece(number // SHARDS_A_FILE)
        first, last = np.searchsorted(table["shard"].to_numpy(), (number, number + 1))
        return Rows(*(table[name].to_numpy()[first:last] for name in Rows._fields))

    book = Book(
        Cutting.parse(head["cutting"], address),
        [SPLITS.index(name) for name in shards["split"].to_pylist()],
        rows,
        Lazy(len(texts), lambda number: Scene.model_validate_json(texts[number])),
        [tuple(members) for members in head["sets"]],
    )
    return book, {name: number for number, name in enumerate(shards["id"].to_pylist())}


def _write(table: Any, address: str) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    storage.write(address, buffer.getvalue())


def _read(address: str) -> Any:
    return pq.read_table(pa.BufferReader(storage.read(address)))
