"""Two builds at once on one dataset: no chip is lost, and none is there twice."""

from pathlib import Path
from typing import Any

import pytest

from croma.shards.dataset import open_dataset
from croma.shards.reader import verify
from croma.shards.ref import DatasetRef
from tests.faults.processes import CONTEXT, begin, snapshot
from tests.faults.speck import build, crcs, refused, spec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CLEAR = {"quality": {"max_cloud": 0.02}}
WEST = {"area": {"bbox": (11.9, 54.2, 12.005, 54.4)}, **CLEAR}
EAST = {"area": {"bbox": (11.985, 54.2, 12.1, 54.4)}, **CLEAR}
"""Two recipes of one dataset whose areas overlap, so that the same chips are cut into different shards."""


def test_ten_times_two_builds_at_once(world: Path, tmp_path: Path) -> None:
    catalog = snapshot(world, tmp_path)
    alone = [build(spec(**half), catalog, str(tmp_path / f"alone-{n}")) for n, half in enumerate((WEST, EAST))]
    expected = crcs(alone[0]) | crcs(alone[1])
    both = set(crcs(alone[0])) & set(crcs(alone[1]))
    left_out = refused(alone[0].ref.uri) | refused(alone[1].ref.uri)
    assert both, "the recipes have chips in common"
    assert left_out
    for turn in range(10):
        uri = str(tmp_path / f"{turn}")
        halves: tuple[dict[str, Any], ...] = (WEST, WEST) if turn % 5 == 4 else (WEST, EAST)
        barrier = CONTEXT.Barrier(2)
        processes = [begin(catalog, uri, barrier, **half) for half in halves]
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0, 0]
        built = open_dataset(DatasetRef.of(uri))
        assert crcs(built) == (expected if halves[0] != halves[1] else crcs(alone[0]))
        assert verify(built) == []
        assert refused(uri) == (left_out if halves[0] != halves[1] else refused(alone[0].ref.uri))
