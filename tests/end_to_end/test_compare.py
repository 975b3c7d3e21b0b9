"""A comparison as a user runs it: five trainings on Ray, one table, one page; a second run finds all of it done."""

from pathlib import Path

import pytest

from croma.evaluation.history import read_artifact
from croma.recipes.comparison import Compared
from croma.tracking.records import read_runs
from croma.tracking.tracker import local_tracker
from tests.end_to_end.conftest import Run
from tests.evaluation.world import make_dataset, three_classes

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def test_methods_within_equal_budgets(croma: Run, tmp_path: Path) -> None:
    make_dataset(str(tmp_path / "storage"), tmp_path, three_classes())
    recipe = str(Path(__file__).with_name("compare.yaml"))
    first = croma("compare", recipe)
    assert first.returncode == 0, first.stderr
    found = Compared.model_validate_json((tmp_path / "storage/comparisons/tiny-comparison.json").read_text())
    assert [(entry.budget, entry.method) for entry in found.entries] == [
        (budget, method) for budget in ("samples", "compute") for method in ("croma", "dual-encoder", "cmid-optical")
    ]
    whole = found.entries[0]
    for entry in found.entries:
        if entry.budget == "samples":
            assert entry.samples == whole.samples == 36
        assert entry.petaflops == pytest.approx(whole.petaflops, rel=0.3) or entry.budget == "samples"
        margins = {margin.baseline for margin in entry.scorecard.margins}
        assert margins == {"untrained", "band-statistics"} | ({"champion"} if entry.method != "croma" else set())
        assert entry.scorecard.find("water/optical/miou") is not None
    assert whole.training.run == found.entries[3].training.run, "the reference is trained once"

    tracker = local_tracker(tmp_path)
    names = {run.name for run in read_runs(tracker, "tiny-comparison", {"croma.kind": "pretraining"})}
    budgets = [f"{method}, equal {b}" for method in ("dual-encoder", "cmid-optical") for b in ("samples", "compute")]
    assert names == {"croma", *budgets}
    page = read_artifact(tracker, found.review, "review.html").decode()
    assert all(name in page for name in names)
    assert not tracker.client.search_registered_models(), "a comparison crowns nobody"

    again = croma("compare", recipe)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("trained already") == 6
    assert again.stderr.count("judged already") == 6
    rows = [line for line in first.stdout.splitlines() if line.startswith(tuple(names)) or "/" in line]
    assert len(rows) > 12
    assert rows == [line for line in again.stdout.splitlines() if line.startswith(tuple(names)) or "/" in line]
