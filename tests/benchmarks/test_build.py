from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.build import sparse, summarise, table
from benchmarks.full_scene import LEFT, TOP, make_scene
from benchmarks.readers import READERS, Job

LEFT_OUT = {"floor", "async-tiff by scene"}
"""The floor cuts no chips, and async-tiff 0.7.2 aborts one interpreter in ten when it shuts down."""
CELLS = tuple((LEFT + 60 * place, TOP - 60 * (place % 7)) for place in (0, 9, 40, 90))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scene")
    make_scene(place, metres=7200)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(READERS.keys() - LEFT_OUT))
def test_all_readers_read_the_same(folder: Path, name: str) -> None:
    if name.startswith("odc-stac") and find_spec("odc") is None:
        pytest.skip("odc-stac is not installed: make bench-build installs it")
    job = Job(base=str(folder), size=120, cells=CELLS, metres=7200)
    assert READERS[name](job) == READERS["rasterio per chip"](job) > 0


def test_sparse_chips_lie_in_the_scene() -> None:
    assert all(LEFT <= left <= LEFT + 108_600 and TOP - 108_600 <= top <= TOP for left, top in sparse(500))


def test_the_table_compares_with_ours() -> None:
    runs = [{"chips": 10, "seconds": seconds, "cpu": 1.0, "peak_mb": 100} for seconds in (1.0, 2.0, 4.0)]
    mine = {"place": "local", "sampling": "sparse", "reader": "ours", **summarise(runs)}
    its = {"place": "local", "sampling": "sparse", "reader": "theirs", "chips_per_second": 2.5}
    assert "| ours | 5.0 (1.00) |" in table([mine, its])
    assert "| theirs | 2.5 (2.00) |" in table([mine, its])
