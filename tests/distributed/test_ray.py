"""Pretraining on Ray: found again, and the same result whoever is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray.util.state import list_actors

from croma.errors import ContractError
from croma.evaluation.history import read_history
from croma.model.weights import load_weights
from croma.shards.ref import DatasetRef
from croma.tracking import local_tracker, read_runs
from croma.training.spec import TrainResult
from tests.datasets import write_dataset
from tests.distributed.driver import STEPS, pretrain

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

PRETRAINING = {"croma.kind": "pretraining"}
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("storage"))


@pytest.fixture(scope="module")
def dataset(root: str) -> str:
    return write_dataset(root, shards=3, per_shard=10)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=True, dashboard_host="127.0.0.1")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def straight(cluster: None, root: str, dataset: str) -> TrainResult:
    """A run that nobody disturbed."""
    return pretrain(root, dataset, "straight")


def curve(root: str, result: TrainResult) -> dict[int, float]:
    assert result.tracking is not None
    history = read_history(local_tracker(Path(root) / "home"), result.tracking, "train/loss")
    assert len(history) == len(dict(history)), "a step stands twice"
    return dict(history)


def assert_same_weights(one: TrainResult, other: TrainResult) -> None:
    a, b = (load_weights(Path(result.weights))[0].state_dict() for result in (one, other))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_leaves_weights_and_a_record(root: str, dataset: str, straight: TrainResult) -> None:
    assert straight.trained.step == STEPS
    assert straight.trained.workers == 2
    assert straight.dataset == DatasetRef(uri=dataset, version=1)
    _, card = load_weights(Path(straight.weights))
    assert card.provenance["step"] == str(STEPS)
    assert card.provenance["run"] == straight.tracking
    assert card.normalisation is not None
    (record,) = read_runs(local_tracker(Path(root) / "home"), "straight", PRETRAINING)
    assert record.status == "FINISHED"
    assert record.params["steps"] == str(STEPS)
    assert {"train/loss", "train/contrast", "speed/samples_per_second", "speed/teraflops"} <= set(record.metrics)
    losses = curve(root, straight)
    assert sorted(losses) == list(range(1, STEPS + 1))
    assert sum(losses[step] for step in range(STEPS - 20, STEPS)) < 0.95 * sum(losses[step] for step in range(1, 21))


def test_a_finished_run_is_found(root: str, dataset: str, straight: TrainResult) -> None:
    began = time.monotonic()
    assert pretrain(root, dataset, "straight", workers=1, micro_batch=2) == straight
    assert time.monotonic() - began < 10
    assert len(read_runs(local_tracker(Path(root) / "home"), "straight", PRETRAINING)) == 1


def saved(root: str, name: str) -> int:
    """The newest checkpoint of a run so far."""
    manifests = Path(root).glob(f"runs/{name}-*/checkpoints/*/manifest.json")
    return max((int(path.parent.name) for path in manifests), default=0)


def wait_for(condition: Callable[[], Any], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
    return found


def worker_pids() -> list[int]:
    alive = [("class_name", "=", "RayTrainWorker"), ("state", "=", "ALIVE")]
    return [actor.pid for actor in list_actors(filters=alive)]


def in_background(root: str, dataset: str, name: str, **resources: Any) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.distributed.driver", root, dataset, name, json.dumps(resources)]
    return subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def test_a_killed_worker_changes_nothing(root: str, dataset: str, straight: TrainResult) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(pretrain, root, dataset, "worker-killed")
        wait_for(lambda: saved(root, "worker-killed") >= 60)
        os.kill(worker_pids()[0], signal.SIGKILL)
        result = running.result()
    assert_same_weights(result, straight)
    assert curve(root, result) == curve(root, straight)


def test_a_killed_driver_goes_on_when_started_again(root: str, dataset: str, straight: TrainResult) -> None:
    driver = in_background(root, dataset, "driver-killed")
    wait_for(lambda: saved(root, "driver-killed") >= 60)
    driver.kill()
    driver.communicate()
    assert 60 <= saved(root, "driver-killed") < STEPS
    again = in_background(root, dataset, "driver-killed")
    output, _ = again.communicate()
    result = TrainResult.model_validate_json(output)
    assert_same_weights(result, straight)
    assert curve(root, result) == curve(root, straight)
    assert len(read_runs(local_tracker(Path(root) / "home"), "driver-killed", PRETRAINING)) == 1


def test_sigterm_saves_and_leaves(root: str, dataset: str, straight: TrainResult) -> None:
    driver = in_background(root, dataset, "stopped", checkpoint_every=10_000)
    runs = Path(root) / "runs"
    wait_for(lambda: driver.poll() is not None or stepping(root, "stopped"))
    driver.terminate()
    output, _ = driver.communicate(timeout=120)
    assert driver.returncode == 128 + signal.SIGTERM
    assert output == ""
    assert 0 < saved(root, "stopped") < STEPS
    assert not list(runs.glob("stopped-*/result.json"))
    result = pretrain(root, dataset, "stopped", checkpoint_every=10_000)
    assert_same_weights(result, straight)


def stepping(root: str, name: str) -> bool:
    """Whether a run has begun to take steps: its first losses are in MLflow."""
    tracker = local_tracker(Path(root) / "home")
    return any(read_history(tracker, run.id, "train/loss") for run in read_runs(tracker, name, PRETRAINING))


def test_an_error_that_would_come_again_ends_the_run(root: str, dataset: str, tmp_path: Path, cluster: None) -> None:
    spoiled = str(tmp_path / "spoiled")
    shutil.copytree(dataset, spoiled)
    shard = next(Path(spoiled).glob("shards/train/*.tar"))
    data = bytearray(shard.read_bytes())
    data[5000] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ContractError, match=rf"{shard.name}: chip .* is damaged"):
        pretrain(root, spoiled, "spoiled")
    (record,) = read_runs(local_tracker(Path(root) / "home"), "spoiled", PRETRAINING)
    assert record.status == "FAILED"
