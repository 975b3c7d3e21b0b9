import os
import threading
import time
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from croma.batches.batch import RawBatch
from croma.batches.cache import CachedShards, evict
from croma.batches.checksum import crc32_of
from croma.batches.loader import Loader
from croma.batches.source import LocalShards, OpenFiles, Source
from croma.batches.spec import Reading
from croma.errors import ContractError, InputError, TransientError


class Remote:
    """A store that is remote to the cache: it counts, waits, fails and lies as told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int, int]] = []
        self.failures = 0
        self.damage: set[int] = set()
        self.busy = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, address: str, offset: int, length: int) -> Generator[memoryview, None, None]:
        with self._lock:
            self.requests.append((address, offset, length))
            number = len(self.requests)
            self.busy += 1
            self.most = max(self.most, self.busy)
        time.sleep(0.002)
        with self._lock:
            self.busy -= 1
            if self.failures:
                self.failures -= 1
                raise TransientError("503")
        data = bytearray(Path(address).read_bytes()[offset : offset + length])
        if number in self.damage:
            data[len(data) // 2] ^= 1
        for start in range(0, len(data), 1000):
            yield memoryview(data)[start : start + 1000]


@pytest.fixture(params=["local", "cached"])
def source(request: pytest.FixtureRequest, stored: Any, tmp_path: Path) -> Source:
    if request.param == "local":
        return LocalShards(stored.table)
    order = stored.order(4)
    return CachedShards(stored.table, order.runs, Remote(), tmp_path / "cache", 10**9)


def copies(batch: RawBatch) -> RawBatch:
    return RawBatch(batch.radar.clone(), {r: b.clone() for r, b in batch.optical.items()}, batch.keys, batch.ids)


def same(a: RawBatch, b: RawBatch) -> bool:
    pixels = [(a.radar, b.radar), *((a.optical[r], b.optical[r]) for r in a.optical)]
    equal = all(x.numpy().tobytes() == y.numpy().tobytes() for x, y in pixels)
    return equal and torch.equal(a.keys, b.keys) and a.ids == b.ids


@pytest.mark.parametrize("verify", [True, False])
def test_batches_hold_the_chips_that_were_written(stored: Any, source: Source, verify: bool) -> None:
    order = stored.order(5)
    with Loader(order, stored.table, stored.layout.planes, source, reading=Reading(verify=verify)) as loader:
        for step, batch in enumerate(loader.batches(0, 12)):
            draw = order.batch(step)
            assert batch.keys.tolist() == draw.keys.tolist()
            for row, number in enumerate(draw.chips):
                chip = stored.chips[number]
                assert batch.ids[row] == chip.id
                assert batch.radar[row].numpy().tobytes() == chip.radar.tobytes()
                for resolution, bands in chip.optical.items():
                    assert np.array_equal(batch.optical[resolution][row].numpy(), bands)
    assert step == 11


@pytest.mark.parametrize("world", [2, 3, 4])
def test_ranks_load_their_parts_of_one_batch(stored: Any, world: int) -> None:
    order = stored.order(10)
    planes = stored.layout.planes

    def ids(rank: int, world: int) -> list[tuple[str, ...]]:
        with Loader(order, stored.table, planes, LocalShards(stored.table), rank=rank, world=world) as loader:
            return [batch.ids for batch in loader.batches(0, 6)]

    alone, parts = ids(0, 1), [ids(rank, world) for rank in range(world)]
    assert [sum(pieces, ()) for pieces in zip(*parts, strict=True)] == alone


def test_any_step_comes_first(stored: Any, source: Source) -> None:
    with Loader(stored.order(7), stored.table, stored.layout.planes, source) as loader:
        forward = [copies(batch) for batch in loader.batches(0, 9)]
        for start in (8, 3, 0):
            assert same(next(iter(loader.batches(start, 9))), forward[start])


def test_a_batch_holds_until_the_next_is_asked_for(stored: Any) -> None:
    source = LocalShards(stored.table)
    with Loader(stored.order(8), stored.table, stored.layout.planes, source, reading=Reading(depth=2)) as loader:
        batches = loader.batches(0, 20)
        for batch in batches:
            before = copies(batch)
            time.sleep(0.005)  # readers fill the other buffers meanwhile
            assert same(batch, before)


def test_a_flipped_byte_is_named(stored: Any) -> None:
    path, chip = Path(stored.table.shards[1]), stored.table.name(9)
    data = bytearray(path.read_bytes())
    data[int(stored.table.offset[9]) + 3000] ^= 4
    path.write_bytes(data)
    with (
        Loader(stored.order(8), stored.table, stored.layout.planes, LocalShards(stored.table)) as loader,
        pytest.raises(ContractError, match=rf"shard-1.tar: chip {chip} is damaged"),
    ):
        list(loader.batches(0, 3))


def test_the_checksum_is_that_of_zlib() -> None:
    data = memoryview(bytes(range(256)) * 100)
    assert crc32_of([data[:1], data[1:7000], data[7000:7000], data[7000:]]) == zlib.crc32(data)


def test_a_short_or_missing_shard_is_named(stored: Any) -> None:
    path = Path(stored.table.shards[2])
    path.write_bytes(path.read_bytes()[: int(stored.table.offset[23]) + 600])
    with (
        Loader(stored.order(8), stored.table, stored.layout.planes, LocalShards(stored.table)) as loader,
        pytest.raises(ContractError, match=r"shard-2.tar: ends within chip .* restore or rebuild"),
    ):
        list(loader.batches(0, 3))
    path.unlink()
    with (
        Loader(stored.order(8), stored.table, stored.layout.planes, LocalShards(stored.table)) as loader,
        pytest.raises(ContractError, match=r"shard-2.tar: the shard is missing"),
    ):
        list(loader.batches(0, 3))


def test_each_block_is_fetched_once(stored: Any, tmp_path: Path) -> None:
    order, remote = stored.order(6), Remote()
    for _ in range(2):  # the second process finds everything on disk
        source = CachedShards(stored.table, order.runs, remote, tmp_path / "cache", 10**9)
        with Loader(order, stored.table, stored.layout.planes, source) as loader:
            assert len(list(loader.batches(0, 12))) == 12
    assert len(remote.requests) == len(set(remote.requests)) == len(order.runs) - 1
    assert remote.most > 1


def test_the_next_window_arrives_while_one_is_used(stored: Any, tmp_path: Path) -> None:
    order, remote = stored.order(1, run=1, window=12), Remote()
    source = CachedShards(stored.table, order.runs, remote, tmp_path / "cache", 10**9)
    with Loader(order, stored.table, stored.layout.planes, source) as loader:
        batches = loader.batches(0, 24)
        for _ in range(4):
            next(batches)
        time.sleep(0.1)  # what is under way arrives
        assert 19 <= len(remote.requests) <= 21, "15 steps after the last that was begun, the sixth"
        list(batches)
    assert len(remote.requests) == len(set(remote.requests)) == len(order.runs) - 1


def test_two_processes_share_what_they_fetch(stored: Any, tmp_path: Path) -> None:
    order, remote = stored.order(6), Remote()
    sources = [CachedShards(stored.table, order.runs, remote, tmp_path / "cache", 10**9) for _ in range(2)]
    for rank, source in enumerate(sources):
        with Loader(order, stored.table, stored.layout.planes, source, rank=rank, world=2) as loader:
            list(loader.batches(0, 8))
    assert len(remote.requests) == len(set(remote.requests))


def test_passing_failures_pass(stored: Any, tmp_path: Path) -> None:
    order, remote = stored.order(6), Remote()
    remote.failures = 3
    source = CachedShards(stored.table, order.runs, remote, tmp_path / "cache", 10**9, pause=0.001)
    with Loader(order, stored.table, stored.layout.planes, source) as loader:
        assert len(list(loader.batches(0, 4))) == 4


def test_lasting_failures_are_raised(stored: Any, tmp_path: Path) -> None:
    order, remote = stored.order(6), Remote()
    remote.failures = 10**6
    source = CachedShards(stored.table, order.runs, remote, tmp_path / "cache", 10**9, pause=0.001)
    with (
        Loader(order, stored.table, stored.layout.planes, source) as loader,
        pytest.raises(TransientError, match="503"),
    ):
        list(loader.batches(0, 4))


def test_what_arrives_damaged_is_fetched_again(stored: Any, tmp_path: Path) -> None:
    order, remote = stored.order(6), Remote()
    remote.damage = {1, 2, 3}
    source = CachedShards(stored.table, order.runs, remote, tmp_path / "cache", 10**9)
    with Loader(order, stored.table, stored.layout.planes, source) as loader:
        for step, batch in enumerate(loader.batches(0, 8)):
            for row, number in enumerate(order.batch(step).chips):
                assert batch.radar[row].numpy().tobytes() == stored.chips[number].radar.tobytes()
    assert len(remote.requests) > len(order.runs) - 1


def test_what_stays_damaged_is_named(stored: Any, tmp_path: Path) -> None:
    order, remote = stored.order(6), Remote()
    remote.damage = set(range(1000))
    source = CachedShards(stored.table, order.runs, remote, tmp_path / "cache", 10**9)
    with (
        Loader(order, stored.table, stored.layout.planes, source) as loader,
        pytest.raises(ContractError, match="is damaged"),
    ):
        list(loader.batches(0, 8))


def test_the_cache_keeps_to_its_size(stored: Any, tmp_path: Path) -> None:
    folder, order = tmp_path / "cache", stored.order(6)
    source = CachedShards(stored.table, order.runs, Remote(), folder, 10**9)
    with Loader(order, stored.table, stored.layout.planes, source) as loader:
        list(loader.batches(0, 4))
        files = sorted(folder.glob("*.shard"), key=lambda path: path.stat().st_mtime_ns)
        sizes = [path.stat().st_blocks * 512 for path in files]
        assert evict(folder, sum(sizes)) == []
        assert evict(folder, sum(sizes) - 1) == [files[0].name]
        assert len(list(loader.batches(4, 8))) == 4  # what is open stays readable, what is gone is fetched


def test_a_cache_that_cannot_be_written_says_so(stored: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    order = stored.order(6)
    source = CachedShards(stored.table, order.runs, Remote(), tmp_path / "cache", 10**9)
    monkeypatch.setattr("croma.batches.cache.os.pwrite", full)
    with (
        Loader(order, stored.table, stored.layout.planes, source) as loader,
        pytest.raises(InputError, match=r"No space left on device.*lower its size"),
    ):
        list(loader.batches(0, 4))


def test_few_files_stay_open(tmp_path: Path) -> None:
    opened: list[int] = []

    def opens(shard: int) -> int:
        path = tmp_path / str(shard)
        path.touch()
        opened.append(os.open(path, os.O_RDONLY))
        return opened[-1]

    files = OpenFiles(opens, keep=2)
    with files.borrow(0) as held:
        for shard in (1, 2, 3):
            with files.borrow(shard):
                pass
        os.fstat(held.descriptor)  # in use: still open though no longer kept
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])
    files.close()
    for descriptor in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_closing_does_not_wait_for_what_is_expected(stored: Any, tmp_path: Path) -> None:
    order, remote = stored.order(2, run=1), Remote()
    source = CachedShards(stored.table, order.runs, remote, tmp_path / "cache", 10**9)
    with Loader(order, stored.table, stored.layout.planes, source, reading=Reading(ahead=50)) as loader:
        next(iter(loader.batches(0, 100)))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("fetch", "reader"))]
