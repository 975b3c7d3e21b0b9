"""The main job on real Sentinel chips: the same commands, a recipe and nothing of its own."""

from pathlib import Path

import pytest

from croma.simulate.server import serve
from tests.end_to_end.conftest import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RECIPE = Path(__file__).parents[1] / "real" / "bigearthnet.yaml"


def test_real_chips_go_the_whole_way(croma: Run, real_samples: Path, tmp_path: Path) -> None:
    with serve(real_samples / "bigearthnet") as address:
        run = croma("run", str(RECIPE), CROMA_CATALOG=address)
    assert run.returncode == 0, run.stderr
    words = run.stdout
    assert "verdict: passed" in words
    for score in ("retrieval/radar/recall-at-1", "retrieval/optical/recall-at-1", "untrained"):
        assert score in words
    assert "resampled  0 of 4 chips" in words
    (weights,) = (tmp_path / "storage" / "runs").glob("*/weights/weights.safetensors")
    assert weights.stat().st_size > 100_000
