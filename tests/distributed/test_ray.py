"""Pretraining on Ray: found again, and the same result whoever is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray.util.state import list_actors

from croma.cluster import run_job
from croma.errors import ContractError
from croma.evaluation.history import read_history
from croma.model.weights import load_weights
from croma.shards.ref import DatasetRef
from croma.tracking.records import read_runs
from croma.tracking.tracker import local_tracker
from croma.training.spec import TrainResult
from tests.distributed.driver import STEPS, pretrain
from tests.distributed.runs import assert_same_weights, curve, saved, wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

PRETRAINING = {"croma.kind": "pretraining"}
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of the dashboard of a cluster that this process is in."""
    yield f"http://{ray.init(num_cpus=2, include_dashboard=True, dashboard_host='127.0.0.1').dashboard_url}"
    ray.shutdown()


@pytest.fixture(scope="module")
def straight(cluster: str, root: str, dataset: str) -> TrainResult:
    """A run that nobody disturbed."""
    return pretrain(root, dataset, "straight")


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


def test_a_sharded_run_leaves_what_a_replicated_one_does(root: str, dataset: str, straight: TrainResult) -> None:
    """Copies of the weights and looks on the way, too, which one worker takes and all must help with."""
    result = pretrain(root, dataset, "sharded", sharding="sharded", weights_every=100, look_every=50)
    assert curve(root, result) == pytest.approx(curve(root, straight), rel=1e-3)
    folders = [Path(found.weights).parent for found in (straight, result)]
    one, other = (load_weights(folder / "weights.safetensors")[0].state_dict() for folder in folders)
    for name, tensor in one.items():
        assert other[name].shape == tensor.shape, name
    copy, _ = load_weights(folders[1] / "step-000000100" / "weights.safetensors")
    assert not torch.equal(copy.state_dict()["radar_pool.up.weight"], other["radar_pool.up.weight"])
    (record,) = read_runs(local_tracker(Path(root) / "home"), "sharded", PRETRAINING)
    assert "embeddings/alignment" in record.metrics


def test_a_finished_run_is_found(root: str, dataset: str, straight: TrainResult) -> None:
    began = time.monotonic()
    assert pretrain(root, dataset, "straight", workers=1, micro_batch=2) == straight
    assert time.monotonic() - began < 10
    assert len(read_runs(local_tracker(Path(root) / "home"), "straight", PRETRAINING)) == 1


def worker_pids() -> list[int]:
    alive = [("class_name", "=", "RayTrainWorker"), ("state", "=", "ALIVE")]
    return [actor.pid for actor in list_actors(filters=alive)]


def in_background(root: str, dataset: str, name: str, **resources: Any) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.distributed.driver", root, dataset, name, json.dumps(resources)]
    return subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def test_a_job_tells_its_lines_while_it_runs(cluster: str) -> None:
    """Every line once, in order, the first before the job is over."""
    heard: list[tuple[float, str]] = []
    code = "import time; print('first', flush=True); time.sleep(8); print('a\\nb', flush=True); print('last')"
    run_job(cluster, "tells", ["python", "-c", code], tell=lambda line: heard.append((time.monotonic(), line)))
    lines = [line for _, line in heard if line in ("first", "a", "b", "last")]
    assert lines == ["first", "a", "b", "last"]
    when = {line: moment for moment, line in heard}
    assert when["last"] - when["first"] > 4


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


def test_an_error_that_would_come_again_ends_the_run(root: str, dataset: str, tmp_path: Path, cluster: str) -> None:
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
