"""How runs of a recipe stand in MLflow: one above, a run a seed below."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from croma.shards.ref import DatasetRef
from croma.tracking.records import read_run, read_runs
from croma.tracking.tracker import local_tracker
from croma.training.spec import TrainRun, TrainSpec
from tests.distributed.worker import SPEC


@pytest.mark.slow
def test_seeds_are_nested_under_their_recipe(tmp_path: Path) -> None:
    from croma.training import ray_job

    tracker, ref = local_tracker(tmp_path), DatasetRef(uri=str(tmp_path / "noise"), version=3)
    data: Any = SimpleNamespace(ref=ref, chips=[1, 2])
    ids = []
    for seed, steps, workers in ((0, 24, 1), (1, 24, 2), (0, 30, 1), (0, 24, 1)):
        spec = TrainSpec.parse({**SPEC, "seed": seed, "steps": steps, "resources": {"workers": workers}}, "test")
        run = TrainRun(id=spec.run_id("n", "d"), name="n", spec=spec, dataset=ref, root=str(tmp_path), attempt="a")
        with ray_job._tracked(run, data, tracker, None) as (_, tracked):
            assert tracked is not None
            ids.append(tracked.id)
    assert ids[3] == ids[0]  # the same run again goes on
    parents = [read_run(tracker, run).tags["mlflow.parentRunId"] for run in ids[:3]]
    assert parents[0] == parents[1] != parents[2]
    recipes = read_runs(tracker, "n", {"croma.kind": "recipe"})
    assert {run.id for run in recipes} == set(parents)
    above = read_run(tracker, parents[0])
    assert above.name.startswith("croma-")
    assert above.params["steps"] == "24"
    assert "seed" not in above.params
    assert read_run(tracker, ids[1]).name.startswith("seed1-")
    (linked,) = tracker.client.get_run(ids[0]).inputs.dataset_inputs
    assert (linked.dataset.name, linked.dataset.digest) == ("noise", "v3")
