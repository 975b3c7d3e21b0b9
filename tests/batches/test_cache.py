"""The cache of remote shards on local disk."""

import time
from pathlib import Path
from typing import Any

import pytest

from croma.batches.cache import evict
from croma.batches.loader import Loader
from croma.errors import InputError
from tests.batches.fillers import Remote, cached


def test_each_block_is_fetched_once(stored: Any, tmp_path: Path) -> None:
    order, remote = stored.order(6), Remote()
    for _ in range(2):  # the second process finds everything on disk
        filler = cached(stored, tmp_path / "cache", remote)
        with Loader(order, stored.table, stored.layout.planes, filler) as loader:
            assert len(list(loader.batches(0, 12))) == 12
    assert len(remote.requests) == len(set(remote.requests)) == len(order.runs) - 1
    assert remote.most > 1


def test_the_next_window_arrives_while_one_is_used(stored: Any, tmp_path: Path) -> None:
    order, remote = stored.order(1, run=1, window=12), Remote()
    filler = cached(stored, tmp_path / "cache", remote, runs=order.runs)
    with Loader(order, stored.table, stored.layout.planes, filler) as loader:
        batches = loader.batches(0, 24)
        for _ in range(4):
            next(batches)
        time.sleep(0.1)  # what is under way arrives
        assert 19 <= len(remote.requests) <= 21, "15 steps after the last that was begun, the sixth"
        list(batches)
    assert len(remote.requests) == len(set(remote.requests)) == len(order.runs) - 1


def test_two_processes_share_what_they_fetch(stored: Any, tmp_path: Path) -> None:
    order, remote = stored.order(6), Remote()
    fillers = [cached(stored, tmp_path / "cache", remote) for _ in range(2)]
    for rank, filler in enumerate(fillers):
        with Loader(order, stored.table, stored.layout.planes, filler, rank=rank, world=2) as loader:
            list(loader.batches(0, 8))
    assert len(remote.requests) == len(set(remote.requests))


def test_the_cache_keeps_to_its_size(stored: Any, tmp_path: Path) -> None:
    folder, order = tmp_path / "cache", stored.order(6)
    with Loader(order, stored.table, stored.layout.planes, cached(stored, folder, Remote())) as loader:
        list(loader.batches(0, 4))
        files = sorted(folder.glob("*.shard"), key=lambda path: path.stat().st_mtime_ns)
        sizes = [path.stat().st_blocks * 512 for path in files]
        assert evict(folder, sum(sizes)) == []
        assert evict(folder, sum(sizes) - 1) == [files[0].name]
        assert len(list(loader.batches(4, 8))) == 4  # what is open stays readable, what is gone is fetched


def test_a_cache_that_cannot_be_written_says_so(stored: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    filler = cached(stored, tmp_path / "cache", Remote())
    monkeypatch.setattr("croma.batches.cache.os.pwrite", full)
    with (
        Loader(stored.order(6), stored.table, stored.layout.planes, filler) as loader,
        pytest.raises(InputError, match=r"No space left on device.*lower its size"),
    ):
        list(loader.batches(0, 4))
