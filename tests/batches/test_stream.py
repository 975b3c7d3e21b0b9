"""Batches filled straight from a remote store."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from croma.batches.kept import shards_that_fit
from croma.batches.loader import Loader
from croma.batches.spec import Reading
from tests.batches.conftest import MakeChip, store
from tests.batches.fillers import Remote, partly_kept, streamed


def load(stored: Any, order: Any, remote: Remote, reading: Reading | None = None, steps: int = 6, **rank: int) -> int:
    """Batches loaded."""
    filler = streamed(stored, Path(), remote, reading)
    with Loader(order, stored.table, stored.layout.planes, filler, **rank) as loader:  # type: ignore[arg-type]
        return sum(1 for _ in loader.batches(0, steps))


def test_a_window_takes_one_request_for_neighbours(stored: Any) -> None:
    remote = Remote()
    assert load(stored, stored.order(4), remote) == 6
    assert len(remote.requests) == 3, "a window over all 24 chips: one request a shard"


def test_requests_are_of_limited_size(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("croma.batches.requests.BYTES", 3 * stored.table.length)
    remote = Remote()
    load(stored, stored.order(4), remote)
    assert len(remote.requests) == 9
    gaps = int(stored.table.offset[1] - stored.table.offset[0]) - stored.table.length
    assert max(length for *_, length in remote.requests) == 3 * stored.table.length + 2 * gaps


def test_holes_that_are_large_are_left_out(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers, each with every other chip or so: what the other one takes is not fetched twice."""
    monkeypatch.setattr("croma.batches.stream.GAP", stored.table.length // 2)
    remote = Remote()
    for rank in range(2):
        load(stored, stored.order(4), remote, rank=rank, world=2)
    fetched = sum(length for *_, length in remote.requests)
    facts = int(stored.table.offset[1] - stored.table.offset[0]) - stored.table.length
    assert 0 <= fetched - 24 * stored.table.length < 24 * facts


def test_memory_bounds_what_is_under_way(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("croma.batches.stream.GAP", 0)
    remote = Remote()
    tight = Reading(memory_gb=8 * stored.table.length / 1e9)
    filler = streamed(stored, Path(), remote, tight)
    with Loader(stored.order(2), stored.table, stored.layout.planes, filler) as loader:
        assert filler.ring(13, 2 * stored.table.length) == (4, 2)
        batches = loader.batches(0, 12)
        next(batches)
        time.sleep(0.1)  # what is under way is asked for
        assert sum(length for *_, length in remote.requests) == 8 * stored.table.length, "four batches of two chips"
        assert len(list(batches)) == 11


def test_the_end_of_an_epoch_takes_a_chip_twice(stored: Any) -> None:
    order, remote = stored.order(16), Remote()
    filler = streamed(stored, Path(), remote)
    with Loader(order, stored.table, stored.layout.planes, filler) as loader:
        for step, batch in enumerate(loader.batches(0, 6)):
            for row, number in enumerate(order.batch(step).chips):
                assert batch.radar[row].numpy().tobytes() == stored.chips[number].radar.tobytes()


def test_what_fits_is_kept_and_the_rest_streamed_every_epoch(stored: Any, tmp_path: Path) -> None:
    order, remote = stored.order(4), Remote()
    for _ in range(2):
        filler = partly_kept(stored, tmp_path / "cache", remote)
        with Loader(order, stored.table, stored.layout.planes, filler) as loader:
            assert len(list(loader.batches(0, 6))) == 6
    shards = [stored.table.shards.index(address) for address, *_ in remote.requests]
    assert [shards.count(shard) for shard in range(3)] == [3, 2, 2], "runs of three chips; one request a shard, twice"


def test_how_many_shards_fit(tmp_path: Path, make_chip: MakeChip) -> None:
    stored = store(tmp_path, make_chip, shards=4, per_shard=2)
    one = int(stored.table.offset[1]) + stored.table.length
    assert [shards_that_fit(stored.table, int(part * one)) for part in (0, 1, 1.2, 2.3, 3.9, 4)] == [0, 0, 1, 2, 3, 4]
    np.testing.assert_array_equal(np.bincount(stored.table.shard), 2)
