"""The fault drill: on a stack of real servers, what breaks while the main job runs changes nothing in what it makes."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml
from ray.util.state import list_tasks

from croma import ray_access, storage
from croma.training.spec import TrainResult
from infra.local.stack import demo, parts, photos
from infra.local.stack.site import StackSite

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3600)]
RECIPE = Path(__file__).parents[1] / "end_to_end" / "tiny.yaml"
STEPS = 120


def recipe(folder: Path, name: str) -> str:
    """The tiny recipe under another name, with enough shards and steps to be disturbed."""
    content = yaml.safe_load(RECIPE.read_text())
    content["name"] = content["dataset"]["name"] = name
    content["dataset"]["chips_per_shard"] = 4
    content["pretrain"] |= {"steps": STEPS, "resources": {"workers": 2, "checkpoint_every": 10, "look_every": STEPS}}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def go(site: StackSite, path: str, watch: Callable[[dict[str, str]], None]) -> None:
    demo.register(site, path)
    state = demo.wait_for(site, demo.ask_for_run(site, path), 2400, watch)
    assert state == "Completed", demo.logs(site, "build-worker") + demo.logs(site, "learn-worker")


def result(name: str) -> TrainResult:
    """What the run of an experiment has left."""
    requests = "s3://croma/runs/requests"
    answers = [n for n in storage.list_names(requests) if n.startswith(f"{name}-") and n.endswith(".result.json")]
    assert len(answers) == 1
    return TrainResult.model_validate_json(storage.read(f"{requests}/{answers[0]}"))


def checkpoints(name: str) -> list[str]:
    runs = [run for run in storage.list_names("s3://croma/runs") if run.startswith(f"{name}-")]
    return [point for run in runs for point in storage.list_names(f"s3://croma/runs/{run}/checkpoints")]


def resumed(site: StackSite, name: str) -> list[int]:
    """The steps after which workers of a run went on, as they say in Ray's logs."""
    logs = (site.runtime / "ray").glob("session_*/logs/train/ray-train-app-worker-*.log")
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    said = [re.search(r"going on after step (\d+)", line["message"]) for line in lines if name in line.get("run", "")]
    return [int(match.group(1)) for match in said if match]


def fills(site: StackSite, node: str) -> bool:
    """Whether a Ray node fills a shard now: Ray calls a process after what runs in it."""
    found = parts.part(site, node).find()
    for process in found.children(recursive=True) if found else []:
        try:
            if process.cmdline()[:1] == ["ray::fill_planned"]:
                return True
        except psutil.Error:  # it ended while we looked
            continue
    return False


def lost_shards(site: StackSite) -> int:
    """How many shards a node was filling when it died, as Ray has it."""
    ray_access.read_environment()
    only = [("name", "=", "fill_planned"), ("error_type", "=", "NODE_DIED")]
    return len(list_tasks(address=site.address("ray-dashboard"), filters=only, limit=1000, detail=True))


@pytest.fixture(scope="module")
def calm(site: StackSite, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run that nobody disturbs."""
    go(site, recipe(tmp_path_factory.mktemp("calm"), "calm"), lambda states: None)
    return "calm"


def test_pages_show_the_run(site: StackSite, calm: str, tmp_path: Path) -> None:
    pictures = photos.photograph(site, tmp_path, calm)
    assert {picture.name.partition("-")[0] for picture in pictures} == {"prefect", "mlflow", "ray"}


def test_servers_ask_who_is_there(site: StackSite) -> None:
    for address in (
        f"{site.address('prefect')}/api/flows/filter",
        f"{site.address('mlflow')}/api/2.0/mlflow/experiments/search?max_results=1",
        f"{site.address('ray-dashboard')}/api/jobs/",
    ):
        request = urllib.request.Request(address, data=b"{}" if "prefect" in address or "flows" in address else None)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code in (401, 403), address


def test_what_breaks_changes_nothing(site: StackSite, calm: str, tmp_path: Path) -> None:
    done: list[str] = []

    def once(what: str, act: Callable[[], object]) -> None:
        if what not in done:
            done.append(what)
            act()

    node = parts.part(site, "ray-worker")

    def lose_node_that_fills() -> None:
        deadline = time.monotonic() + 120
        while not fills(site, node.name):
            assert time.monotonic() < deadline, "the node fills no shard"
            time.sleep(0.02)
        node.kill()

    def lose_node() -> None:
        node.kill()
        node.start()

    def disturb(states: dict[str, str]) -> None:
        if states.get("build-dataset") == "Running":
            once("lose a node during the build", lose_node_that_fills)
            once("restart the bucket", lambda: parts.restart(site, "s3"))
            once("restart the databases", lambda: parts.restart(site, "postgres"))
            once("have the node again", node.start)
        if states.get("pretrain") == "Running" and checkpoints("drill"):
            once("lose a node during training", lose_node)
            once("restart the tracker", lambda: parts.restart(site, "mlflow"))

    assert lost_shards(site) == 0
    go(site, recipe(tmp_path, "drill"), disturb)
    assert len(done) == 6, done
    assert lost_shards(site) > 0
    undisturbed, disturbed = demo.dataset_hashes(site, calm), demo.dataset_hashes(site, "drill")
    assert sorted(undisturbed.values()) == sorted(disturbed.values())
    assert result("drill").trained.step == STEPS
    # The node had one of the two workers, so the training began again in its middle.
    assert any(0 < step < STEPS for step in resumed(site, "drill")), "the node was lost too late"
    assert resumed(site, calm) == []
    assert result("drill").trained.losses == pytest.approx(result(calm).trained.losses, rel=1e-4)


def test_asked_again_it_is_done_already(site: StackSite, calm: str, tmp_path: Path) -> None:
    before = demo.dataset_hashes(site, calm)
    go(site, recipe(tmp_path, "calm"), lambda states: None)
    assert demo.dataset_hashes(site, calm) == before
    assert result(calm).dataset.version == 1  # nothing was added, so no new version
