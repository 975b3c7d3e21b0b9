import os
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from croma.errors import InputError, TransientError
from croma.evaluation.history import read_artifact, read_history
from croma.evaluation.registry import read_alias, register, set_alias
from croma.provenance import code_version
from croma.tracking.records import read_run, read_runs, sweep_stale
from croma.tracking.run import HEARTBEAT, Run, open_run
from croma.tracking.tracker import Tracker, local_tracker

LOADER = """
class Mean:
    def predict(self, images, params=None):
        return {"joint": images["radar"].mean((2, 3))}

def _load_pyfunc(path):
    return Mean()
"""


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return local_tracker(tmp_path_factory.mktemp("tracker"))


def test_a_run_holds_what_was_logged(tracker: Tracker) -> None:
    with open_run(tracker, "plain", "first", tags={"recipe": "demo"}) as run:
        run.params({"optimiser": {"lr": 0.1, "betas": [0.9, 0.95]}})
        run.metrics({"train/loss": 2.0}, step=0)
        run.metrics({"train/loss": 1.5}, step=1)
        run.dataset("demo", "s3://bucket/datasets/demo", 3, "training", {"chips": 12})
    record = read_run(tracker, run.id)
    assert record.status == "FINISHED"
    assert record.params == {"optimiser.lr": "0.1", "optimiser.betas": "[0.9, 0.95]"}
    assert record.tags["recipe"] == "demo"
    assert record.tags["mlflow.source.git.commit"] == code_version()
    assert read_history(tracker, run.id, "train/loss") == [(0, 2.0), (1, 1.5)]
    (linked,) = tracker.client.get_run(run.id).inputs.dataset_inputs
    assert (linked.dataset.name, linked.dataset.digest) == ("demo", "v3")
    assert '"delta_table_version": 3' in linked.dataset.source


def test_points_wait_and_go_out_together_and_a_flush_sends_them(tracker: Tracker) -> None:
    with open_run(tracker, "batches", "run") as run:
        run.metrics({"train/loss": 1.0}, step=0)
        assert read_history(tracker, run.id, "train/loss") == []
        run.flush()
        assert read_history(tracker, run.id, "train/loss") == [(0, 1.0)]
        for step in range(1, 1201):
            run.metrics({"train/loss": 1.0}, step=step)
    assert len(read_history(tracker, run.id, "train/loss")) == 1201


def test_a_resumed_run_logs_no_step_twice_and_keeps_its_parameters(tracker: Tracker) -> None:
    def interrupted(run: Run) -> None:
        run.params({"lr": 0.1, "workers": 2})
        for step in range(5):
            run.metrics({"train/loss": float(step)}, step=step)
        raise RuntimeError("spot instance taken")

    with pytest.raises(RuntimeError, match="spot"), open_run(tracker, "resume", "run") as run:
        interrupted(run)
    assert read_run(tracker, run.id).status == "FAILED"
    with open_run(tracker, "resume", "ignored", run_id=run.id) as again:
        assert read_run(tracker, run.id).status == "RUNNING"
        again.params({"lr": 0.1, "workers": 4, "seed": 0})
        for step in range(2, 8):
            again.metrics({"train/loss": float(step), "train/new": 1.0}, step=step)
    points = tracker.client.get_metric_history(run.id, "train/loss")
    assert [point.step for point in points] == list(range(8))
    assert len(read_history(tracker, run.id, "train/new")) == 6
    record = read_run(tracker, run.id)
    assert record.params == {"lr": "0.1", "workers": "2", "seed": "0"}
    assert record.tags["resumed.workers"] == "4"


def test_history_takes_the_last_value_of_a_step(tracker: Tracker) -> None:
    with open_run(tracker, "rewound", "run") as run:
        run.metrics({"train/loss": 9.0}, step=1)
        time.sleep(0.002)
        run.metrics({"train/loss": 3.0}, step=1)
    assert read_history(tracker, run.id, "train/loss") == [(1, 3.0)]


def test_runs_are_found_by_tag_and_nested_under_their_parent(tracker: Tracker) -> None:
    with (
        open_run(tracker, "found", "parent", tags={"kind": "train"}) as parent,
        open_run(tracker, "found", "child", tags={"kind": "eval"}, parent=parent.id) as child,
    ):
        pass
    (record,) = read_runs(tracker, "found", {"kind": "eval"})
    assert (record.id, record.tags["mlflow.parentRunId"]) == (child.id, parent.id)
    assert len(read_runs(tracker, "found")) == 2
    assert read_runs(tracker, "never-made") == []


def test_a_keyboard_interrupt_ends_the_run_as_killed(tracker: Tracker) -> None:
    with pytest.raises(KeyboardInterrupt), open_run(tracker, "plain", "stopped") as run:
        raise KeyboardInterrupt
    assert read_run(tracker, run.id).status == "KILLED"


def test_stale_runs_are_swept_and_busy_ones_are_not(tracker: Tracker) -> None:
    contexts = [open_run(tracker, "stale", name) for name in ("dead", "busy")]
    dead, busy = [context.__enter__() for context in contexts]
    dead.tags({HEARTBEAT: f"{time.time() - 7200:.0f}"})
    busy.metrics({"train/loss": 1.0}, step=0)
    busy.flush()
    assert sweep_stale(tracker, "stale", timedelta(hours=1)) == [dead.id]
    assert (read_run(tracker, dead.id).status, read_run(tracker, busy.id).status) == ("KILLED", "RUNNING")
    assert sweep_stale(tracker, "stale", timedelta(hours=1)) == []


def test_artifacts(tracker: Tracker, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    picture = Figure()
    picture.subplots().plot([1, 2])
    (tmp_path / "recipe.yaml").write_text("name: demo\n")
    with open_run(tracker, "artifacts", "run") as run:
        run.figure("figures/line.png", picture)
        run.table("scores.json", {"protocol": ["knn"], "value": [0.5]})
        run.table("scores.json", {"protocol": ["knn"], "value": [0.6]})
        run.text("card.json", "{}")
        run.file(tmp_path / "recipe.yaml", "recipe")
    assert read_artifact(tracker, run.id, "figures/line.png").startswith(b"\x89PNG")
    assert (
        read_artifact(tracker, run.id, "scores.json") == b'{"columns": ["protocol", "value"], "data": [["knn", 0.6]]}'
    )
    assert read_artifact(tracker, run.id, "recipe/recipe.yaml") == b"name: demo\n"
    assert read_run(tracker, run.id).tags["mlflow.loggedArtifacts"].count("scores.json") == 1


def test_a_model_is_logged_registered_and_named_once(tracker: Tracker, tmp_path: Path) -> None:
    (tmp_path / "mean_loader.py").write_text(LOADER)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights.txt").write_text("none")

    def log_model(run: Run) -> str:
        return run.model(
            "croma",
            loader="mean_loader",
            data=tmp_path / "data",
            code=[tmp_path / "mean_loader.py"],
            example={"radar": np.zeros((1, 2, 8, 8), np.float32)},
            answer={"joint": np.zeros((1, 2), np.float32)},
            requirements=["numpy"],
            metadata={"licence": "MIT"},
            step=7,
        )

    with open_run(tracker, "models", "run") as run:
        model = log_model(run)
        assert log_model(run) == model
        run.metrics({"eval/knn/joint/top1": 0.75}, step=7, model_id=model)
    assert tracker.client.get_logged_model(model).metrics[0].value == 0.75
    first = register(tracker, "croma", model, run.id, {"dataset": "demo@3"})
    assert register(tracker, "croma", model, run.id, {}) == first == 1
    assert read_alias(tracker, "croma", "champion") is None
    set_alias(tracker, "croma", "champion", first)
    champion = read_alias(tracker, "croma", "champion")
    assert champion is not None
    assert (champion.version, champion.run_id, champion.tags) == (1, run.id, {"dataset": "demo@3"})
    assert champion.metrics == {"eval/knn/joint/top1": 0.75}
    assert read_alias(tracker, "no-such-model", "champion") is None


def test_wrong_addresses_and_names_are_told_apart(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="0123456789abcdef"):
        read_run(tracker, "0123456789abcdef")
    doomed = tracker.client.create_experiment("doomed")
    tracker.client.delete_experiment(doomed)
    with pytest.raises(InputError, match="was deleted"), open_run(tracker, "doomed", "run"):
        pass
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = Tracker(uri="http://someone:secret@127.0.0.1:9")
    with pytest.raises(TransientError) as caught, open_run(away, "any", "run"):
        pass
    assert "secret" not in str(caught.value)


def test_points_survive_a_tracker_that_is_away_for_a_while(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    real, away = MlflowClient.log_batch, True

    def log_batch(*args: object, **kwargs: object) -> object:
        if away and kwargs.get("metrics"):
            raise MlflowException("connection refused")
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    with open_run(tracker, "away", "run") as run:
        for step in range(600):
            run.metrics({"train/loss": 1.0}, step=step)
        with pytest.raises(TransientError):
            run.flush()
        away = False
    assert len(read_history(tracker, run.id, "train/loss")) == 600


@pytest.fixture
def server(tmp_path: Path) -> Tracker:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        str(tmp_path / "files"),
    ]
    quiet = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen(command, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield Tracker(uri=f"http://127.0.0.1:{port}")
        process.terminate()


@pytest.mark.slow
def test_the_same_through_a_server(server: Tracker, tmp_path: Path) -> None:
    with open_run(server, "remote", "run", tags={"recipe": "demo"}, system_metrics=True) as run:
        run.params({"lr": 0.1})
        run.metrics({"train/loss": 1.0}, step=0)
        run.text("card.json", "{}")
    assert run.url is not None
    assert run.url.endswith(run.id)
    (record,) = read_runs(server, "remote", {"recipe": "demo"})
    assert (record.status, record.metrics["train/loss"]) == ("FINISHED", 1.0)
    assert read_artifact(server, run.id, "card.json") == b"{}"
    assert read_alias(server, "croma", "champion") is None
