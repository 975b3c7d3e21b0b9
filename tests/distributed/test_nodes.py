"""Pretraining on a cluster whose nodes die with their raylets and come back; a run that follows their number."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from tests.distributed.driver import STEPS, pretrain
from tests.distributed.record import FOLDER, seen
from tests.distributed.runs import assert_same_weights, curve, saved, wait_for
from tests.distributed.worker import SPEC

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

KILLED = random.randrange(1, 4) * 20
"""The checkpoint after which a node is lost."""


class Nodes:
    """A head that trains nothing, and nodes with room for one worker each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder  # of what workers have seen
        head = {"num_cpus": 0, "include_dashboard": True, "dashboard_host": "127.0.0.1"}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.add(), self.add()]
        hook = "tests.distributed.record.install"
        workers = {"worker_process_setup_hook": hook, "env_vars": {FOLDER: str(folder)}}
        ray.init(address=self.cluster.address, runtime_env=workers)

    def add(self) -> Any:
        return self.cluster.add_node(num_cpus=1)

    def kill(self) -> None:
        """SIGKILL for a node's raylet; its workers go with it."""
        self.cluster.remove_node(self.nodes.pop(), allow_graceful=False)

    def close(self) -> None:
        ray.shutdown()
        self.cluster.shutdown()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    found = Nodes(tmp_path_factory.mktemp("seen"))
    yield found
    found.close()


def test_a_lost_node_that_is_replaced_changes_nothing(nodes: Nodes, root: str, dataset: str) -> None:
    straight = pretrain(root, dataset, "straight")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(pretrain, root, dataset, "node-killed")
        wait_for(lambda: running.done() or saved(root, "node-killed") >= KILLED)
        nodes.kill()
        nodes.nodes.append(nodes.add())
        result = running.result()
    assert result.trained.workers == 2
    assert_same_weights(result, straight)
    assert curve(root, result) == curve(root, straight)
    kept = sorted(path.name for path in Path(straight.weights).parents[1].iterdir())
    assert kept == ["checkpoints", "result.json", "weights"], "files of the cluster are not kept"


@pytest.mark.parametrize("objective", ["croma", "mild-dual-encoder", "cmid"])
def test_a_run_follows_the_number_of_nodes(
    nodes: Nodes, root: str, dataset: str, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers, one after a node is lost, two again: the same steps on the same chips, crops and masks.

    Losses are the same too. Nobody disturbed the run that it is compared with, which passes its batches in one piece.
    """
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "40")  # it first tries to begin with both again
    straight, name = pretrain(root, dataset, "straight", objective), f"elastic-{objective}"
    with ThreadPoolExecutor(1) as pool:
        elastic = {"workers": [1, 2], "resize_seconds": 2.0, "micro_batch": 1}
        running = pool.submit(pretrain, root, dataset, name, objective, **elastic)
        wait_for(lambda: running.done() or saved(root, name) >= KILLED)
        nodes.kill()
        reached = saved(root, name)
        wait_for(lambda: running.done() or saved(root, name) > reached)
        assert not running.done(), "the run was over before the node came back"
        nodes.nodes.append(nodes.add())
        result = running.result()
    assert (result.trained.step, result.trained.workers, result.trained.left_out) == (STEPS, 2, ())
    losses, expected = curve(root, result), curve(root, straight)
    assert list(losses) == list(range(1, STEPS + 1))
    assert losses == pytest.approx(expected, rel=1e-5)  # sums over other pieces are rounded differently
    chips = seen(nodes.folder, straight.run)
    assert len(chips) == STEPS * SPEC["global_batch"], "keys are of a step"
    assert seen(nodes.folder, result.run) == chips
