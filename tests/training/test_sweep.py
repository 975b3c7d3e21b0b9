"""A sweep with real trainings, in this process: nested runs, a best rate, a rate that breaks."""

from pathlib import Path
from typing import Any

import pytest
import torch

from croma.errors import ContractError
from croma.shards.ref import DatasetRef
from croma.tracking.records import read_run, read_runs
from croma.tracking.run import open_run
from croma.tracking.tracker import Tracker, local_tracker
from croma.training.spec import TrainResult, TrainRun, TrainSpec
from croma.training.step import Requests
from croma.training.sweep import sweep
from croma.training.worker import train_here
from tests.datasets import write_dataset

MODEL = {"encoder_dim": 16, "encoder_depth": 2, "encoder_heads": 2, "decoder_dim": 16, "decoder_heads": 2}
FIELDS: dict[str, Any] = {
    "objective": {"model": {**MODEL, "image": 16, "patch": 4}, "radar_mask_ratio": 0.5, "optical_mask_ratio": 0.5},
    "steps": 12,
    "global_batch": 8,
    "precision": "float32",
    "augmentation": {"crop": [12, 24]},
    "optimiser": {"clip": None},
}


@pytest.mark.slow
def test_a_sweep_nests_its_trials_and_names_the_best(tmp_path: Path) -> None:
    root, tracker = str(tmp_path), local_tracker(tmp_path / "home")
    ref = DatasetRef(uri=write_dataset(root), version=1)
    asked: list[float] = []

    def train(spec: TrainSpec, parent: str | None) -> TrainResult:
        asked.append(spec.schedule.lr)
        return train_in_this_process(spec, ref, root, tracker, parent)

    rates = (1e-5, 3e-3, 1e30)
    found = sweep("rates", TrainSpec.parse(FIELDS, "test"), rates, ref, train, tracker)
    assert asked == list(rates)
    assert found.best is not None
    assert found.best.rate == 3e-3
    assert "is nan" in found.trials[2].problem or "is inf" in found.trials[2].problem
    assert found.trials[2].loss is None
    (above,) = read_runs(tracker, "rates", {"croma.kind": "sweep"})
    assert above.metrics["sweep/best_rate"] == 3e-3
    assert above.status == "FINISHED"
    below = read_runs(tracker, "rates", {"mlflow.parentRunId": above.id})
    assert len(below) == 3
    again = sweep("rates", TrainSpec.parse(FIELDS, "test"), rates, ref, train, tracker)
    assert again.tracking == found.tracking == above.id
    assert read_run(tracker, above.id).metrics["sweep/best_loss"] == pytest.approx(found.best.loss)


def train_in_this_process(
    spec: TrainSpec, ref: DatasetRef, root: str, tracker: Tracker, parent: str | None
) -> TrainResult:
    """What Ray would let a worker do."""
    torch.set_num_threads(1)
    name = f"lr-{spec.schedule.lr:g}"
    with open_run(tracker, "rates", name, parent=parent) as record:
        fields = {"id": name, "name": "rates", "spec": spec, "dataset": ref, "root": root, "attempt": "a"}
        run = TrainRun(**fields, tracker=tracker.uri, tracking=record.id)
        trained = train_here(run, torch.device("cpu"), Requests, lambda line: None)
    return TrainResult(
        run=name, weights=run.weights, dataset=ref, chips=24, trained=trained, code="test", tracking=record.id
    )


def test_a_trial_that_breaks_for_another_reason_ends_the_sweep() -> None:
    def train(spec: TrainSpec, parent: str | None) -> TrainResult:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        sweep("rates", TrainSpec.parse(FIELDS, "test"), (1e-3, 1e-2), DatasetRef(uri="x", version=1), train, None)


def test_a_sweep_without_any_result_has_no_best() -> None:
    def train(spec: TrainSpec, parent: str | None) -> TrainResult:
        raise ContractError("the loss is nan")

    found = sweep("rates", TrainSpec.parse(FIELDS, "test"), (1e-3, 1e-2), DatasetRef(uri="x", version=1), train, None)
    assert found.best is None
    assert [trial.problem for trial in found.trials] == ["the loss is nan"] * 2
