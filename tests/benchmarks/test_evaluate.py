from pathlib import Path

import pytest

from benchmarks.evaluate import quick_suite, sweep


@pytest.mark.slow
def test_the_sweep_says_what_scikit_learn_says() -> None:
    found = sweep(1000, 1, dim=32)
    assert len(found["accuracies"]["ours"]) == 6
    assert found["gap_points"]["scikit-learn"] < 0.21  # one chip of 500
    assert set(found["seconds"]) == {"ours", "scikit-learn", "scikit-learn, default"}


@pytest.mark.slow
def test_the_quick_suite_runs_on_what_is_kept(tmp_path: Path) -> None:
    found = quick_suite(tmp_path, 200)
    assert found["chips"] == 200
