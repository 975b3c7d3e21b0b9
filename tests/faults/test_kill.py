"""A worker killed with SIGKILL at any moment: after it was started again, nothing tells that it died."""

import random
import signal
import time
from pathlib import Path

import pytest

from croma.shards.dataset import open_dataset
from croma.shards.reader import verify
from croma.shards.ref import DatasetRef
from tests.faults.processes import begin, snapshot
from tests.faults.speck import shards

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KILLS = 20
SMALL = {"area": {"bbox": (12.0, 54.2, 12.1, 54.4)}, "chips_per_shard": 6}


def finish(catalog: str, uri: str) -> float:
    """Build to the end in another process; how long it took."""
    began = time.monotonic()
    process = begin(catalog, uri, **SMALL)
    process.join(120)
    assert process.exitcode == 0
    return time.monotonic() - began


def test_killed_at_20_random_moments(world: Path, tmp_path: Path) -> None:
    catalog = snapshot(world, tmp_path)
    finish(catalog, str(tmp_path / "warm"))
    seconds = finish(catalog, str(tmp_path / "calm"))
    calm, moments = open_dataset(DatasetRef.of(str(tmp_path / "calm"))), random.Random(3)
    expected = shards(calm.ref.uri)
    killed = begun = 0
    found = set()
    while killed < KILLS:
        begun += 1
        assert begun < 3 * KILLS, f"only {killed} of {begun} builds could be killed before they ended"
        uri = str(tmp_path / f"{begun}")
        process = begin(catalog, uri, **SMALL)
        process.join(moments.uniform(0.02, 1.0) * seconds)
        process.kill()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            continue
        killed += 1
        found.add(len(shards(uri)))
        finish(catalog, uri)
        built = open_dataset(DatasetRef.of(uri))
        assert built.ref.version == 1
        again = shards(uri)
        # A build that dies between the commit and the ledger tries what it refused once more: a card without chips.
        assert {name: again[name] for name in expected} == expected
        assert all(name.startswith("cards/") for name in again.keys() - expected.keys())
        assert built.rows.equals(calm.rows)
    assert found & set(range(1, len(expected))), f"no kill fell between the first shard and the last: {found}"
    assert verify(built) == []
