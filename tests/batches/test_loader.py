import os
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from croma.batches.batch import RawBatch
from croma.batches.checksum import crc32
from croma.batches.filler import Filler
from croma.batches.loader import Loader
from croma.batches.source import OpenFiles
from croma.batches.spec import Reading
from croma.errors import ContractError, TransientError
from tests.batches.fillers import REMOTE, Remote, local

MakeFiller = Callable[..., Filler]


@pytest.fixture(params=[local, *REMOTE])
def filler(request: pytest.FixtureRequest, stored: Any, tmp_path: Path) -> MakeFiller:
    """`filler(reading=None)`."""
    if request.param is local:
        return lambda reading=None: local(stored, reading)
    return lambda reading=None: request.param(stored, tmp_path / "cache", Remote(), reading)


def copies(batch: RawBatch) -> RawBatch:
    return RawBatch(batch.radar.clone(), {r: b.clone() for r, b in batch.optical.items()}, batch.keys, batch.ids)


def same(a: RawBatch, b: RawBatch) -> bool:
    pixels = [(a.radar, b.radar), *((a.optical[r], b.optical[r]) for r in a.optical)]
    equal = all(x.numpy().tobytes() == y.numpy().tobytes() for x, y in pixels)
    return equal and torch.equal(a.keys, b.keys) and a.ids == b.ids


@pytest.mark.parametrize("verify", [True, False])
def test_batches_hold_the_chips_that_were_written(stored: Any, filler: MakeFiller, verify: bool) -> None:
    order = stored.order(5)
    filling = filler(Reading(verify=verify))
    with Loader(order, stored.table, stored.layout.planes, filling) as loader:
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
        with Loader(order, stored.table, planes, local(stored), rank=rank, world=world) as loader:
            return [batch.ids for batch in loader.batches(0, 6)]

    alone, parts = ids(0, 1), [ids(rank, world) for rank in range(world)]
    assert [sum(pieces, ()) for pieces in zip(*parts, strict=True)] == alone


def test_any_step_comes_first(stored: Any, filler: MakeFiller) -> None:
    with Loader(stored.order(7), stored.table, stored.layout.planes, filler()) as loader:
        forward = [copies(batch) for batch in loader.batches(0, 9)]
        for start in (8, 3, 0):
            assert same(next(iter(loader.batches(start, 9))), forward[start])


def test_a_batch_holds_until_the_next_is_asked_for(stored: Any, filler: MakeFiller) -> None:
    filling = filler(Reading(depth=2))
    with Loader(stored.order(8), stored.table, stored.layout.planes, filling) as loader:
        batches = loader.batches(0, 20)
        for batch in batches:
            before = copies(batch)
            time.sleep(0.005)  # the other buffers are filled meanwhile
            assert same(batch, before)


def test_readers_begin_a_batch_as_soon_as_a_buffer_is_free(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    filling, begun = local(stored, Reading(depth=6)), []
    fill = filling.fill
    monkeypatch.setattr(filling, "fill", lambda batches: begun.append(len(batches)) or fill(batches))
    with Loader(stored.order(2), stored.table, stored.layout.planes, filling) as loader:
        batches = loader.batches(0, 20)
        for taken in range(1, 4):
            next(batches)
            assert begun == [1] * (5 + taken)


def test_a_batch_moves_as_a_whole(stored: Any) -> None:
    with Loader(stored.order(5), stored.table, stored.layout.planes, local(stored)) as loader:
        (batch,) = loader.batches(3, 4)
        moves: list[tuple[int, ...]] = []

        def move(tensor: torch.Tensor) -> torch.Tensor:
            moves.append(tuple(tensor.shape))
            return tensor.clone()

        moved = batch.moved(move)
        assert same(moved, copies(batch))
        assert moves == [(5, stored.table.length), (5,)]
        assert moved.stored is not None
        assert moved.radar.data_ptr() - moved.stored.data_ptr() == batch.radar.data_ptr() - batch.stored.data_ptr()  # type: ignore[union-attr]
    assert same(copies(moved).moved(torch.clone), moved)


def test_a_flipped_byte_is_named(stored: Any) -> None:
    path, chip = Path(stored.table.shards[1]), stored.table.name(9)
    data = bytearray(path.read_bytes())
    data[int(stored.table.offset[9]) + 3000] ^= 4
    path.write_bytes(data)
    with (
        Loader(stored.order(8), stored.table, stored.layout.planes, local(stored)) as loader,
        pytest.raises(ContractError, match=rf"shard-1.tar: chip {chip} is damaged"),
    ):
        list(loader.batches(0, 3))


def test_the_checksum_is_that_of_zlib() -> None:
    data = memoryview(bytes(range(256)) * 100)
    assert crc32(data) == zlib.crc32(data)


def test_a_short_or_missing_shard_is_named(stored: Any) -> None:
    path = Path(stored.table.shards[2])
    path.write_bytes(path.read_bytes()[: int(stored.table.offset[23]) + 600])
    with (
        Loader(stored.order(8), stored.table, stored.layout.planes, local(stored)) as loader,
        pytest.raises(ContractError, match=r"shard-2.tar: ends within chip .* restore or rebuild"),
    ):
        list(loader.batches(0, 3))
    path.unlink()
    with (
        Loader(stored.order(8), stored.table, stored.layout.planes, local(stored)) as loader,
        pytest.raises(ContractError, match=r"shard-2.tar: the shard is missing"),
    ):
        list(loader.batches(0, 3))


@pytest.mark.parametrize("way", REMOTE)
def test_passing_failures_pass(stored: Any, tmp_path: Path, way: MakeFiller) -> None:
    order, remote = stored.order(6), Remote()
    remote.failures = 3
    with Loader(order, stored.table, stored.layout.planes, way(stored, tmp_path / "cache", remote)) as loader:
        assert len(list(loader.batches(0, 4))) == 4
    assert remote.failures == 0


@pytest.mark.parametrize("way", REMOTE)
def test_lasting_failures_are_raised(stored: Any, tmp_path: Path, way: MakeFiller) -> None:
    order, remote = stored.order(6), Remote()
    remote.failures = 10**6
    with (
        Loader(order, stored.table, stored.layout.planes, way(stored, tmp_path / "cache", remote)) as loader,
        pytest.raises(TransientError, match="503"),
    ):
        list(loader.batches(0, 4))


@pytest.mark.parametrize("way", REMOTE)
def test_what_arrives_damaged_is_fetched_again(stored: Any, tmp_path: Path, way: MakeFiller) -> None:
    order, remote = stored.order(6), Remote()
    remote.damage = {1, 2, 3}
    with Loader(order, stored.table, stored.layout.planes, way(stored, tmp_path / "cache", remote)) as loader:
        for step, batch in enumerate(loader.batches(0, 4)):
            for row, number in enumerate(order.batch(step).chips):
                assert batch.radar[row].numpy().tobytes() == stored.chips[number].radar.tobytes()
    spare = Remote()
    with Loader(order, stored.table, stored.layout.planes, way(stored, tmp_path / "other", spare)) as loader:
        list(loader.batches(0, 4))
    assert len(remote.requests) > len(spare.requests)


@pytest.mark.parametrize("way", REMOTE)
def test_what_stays_damaged_is_named(stored: Any, tmp_path: Path, way: MakeFiller) -> None:
    order, remote = stored.order(6), Remote()
    remote.damage = set(range(1000))
    with (
        Loader(order, stored.table, stored.layout.planes, way(stored, tmp_path / "cache", remote)) as loader,
        pytest.raises(ContractError, match="is damaged"),
    ):
        list(loader.batches(0, 8))


@pytest.mark.parametrize("way", REMOTE)
def test_a_remote_shard_that_is_short_or_missing_is_named(stored: Any, tmp_path: Path, way: MakeFiller) -> None:
    path = Path(stored.table.shards[0])
    path.write_bytes(path.read_bytes()[: int(stored.table.offset[7]) + 600])

    def load() -> None:
        filling = way(stored, tmp_path / "cache", Remote())
        with Loader(stored.order(8), stored.table, stored.layout.planes, filling) as loader:
            list(loader.batches(0, 3))

    with pytest.raises(ContractError, match=r"shard-0.tar: ends at \d+ bytes, the index says"):
        load()
    path.unlink()
    with pytest.raises(ContractError, match=r"shard-0.tar: the shard is missing"):
        load()


@pytest.mark.parametrize("way", REMOTE)
def test_closing_does_not_wait_for_what_is_expected(stored: Any, tmp_path: Path, way: MakeFiller) -> None:
    filling = way(stored, tmp_path / "cache", Remote(), Reading(ahead=50))
    with Loader(stored.order(2, run=1), stored.table, stored.layout.planes, filling) as loader:
        next(iter(loader.batches(0, 100)))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("fetch", "reader"))]


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
