from pathlib import Path

import pytest

from benchmarks.evaluate import quick_suite, sweep


@pytest.mark.slow
def test_the_sweep_says_what_scikit_learn_says() -> None:
    """Of strong and middling penalties; scikit-learn stops before the optimum of weak ones."""
    ours, theirs = sweep(1000, 1, dim=32)["accuracies"].values()
    assert len(ours) == 6
    assert ours[:4] == pytest.approx(theirs[:4], abs=0.0041)  # two chips of 500


@pytest.mark.slow
def test_the_quick_suite_runs_on_what_is_kept(tmp_path: Path) -> None:
    found = quick_suite(tmp_path, 200)
    assert found["chips"] == 200
