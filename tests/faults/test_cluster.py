"""Shards filled on the nodes of a Ray cluster: the bytes that threads would have written, whichever node dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from croma.building.prepare import Prepared, prepare
from croma.building.seal import seal
from croma.building.work import Filled, fill_planned
from croma.errors import InputError
from croma.nodes import Share, join, spread
from croma.shards.dataset import Dataset, open_dataset, read_card
from croma.shards.ref import DatasetRef
from tests.conftest import REPOSITORY, free_port
from tests.faults.flow import environment
from tests.faults.speck import build, items, shards, spec
from tests.servers.ranges import serve_files
from tests.servers.stac import careless

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}
SHARE = Share(cpus=1, memory=100 << 20)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that fills nothing, and two nodes with room for one shard each."""
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        found.add_node(num_cpus=1)
    yield found
    found.shutdown()


def filled_at(began: str, uri: str, plan: str, shard: str) -> tuple[str, Filled]:
    """A shard filled, and the node that did it; that the node began is left in a folder."""
    node = ray.get_runtime_context().get_node_id()
    Path(began, f"{node}-{shard}").touch()
    return node, fill_planned(uri, plan, shard)


def finish(prepared: Prepared, filled: dict[int, Filled]) -> Dataset:
    cards = [read_card(prepared.uri, filled[number].card) for number in range(len(prepared.shards))]
    return open_dataset(seal(prepared.uri, cards, {}, spec().quality.fingerprint))


def test_nodes_write_what_threads_write(cluster: Cluster, world: Path, calm: Dataset, tmp_path: Path) -> None:
    with careless(items(world, str(world))) as catalog:
        prepared = prepare(spec(), catalog.address, str(tmp_path / "dataset"))
    calls = [(str(tmp_path), prepared.uri, prepared.plan, shard) for shard in prepared.shards]
    with join(cluster.address):
        found = dict(spread(filled_at, calls, SHARE))
        with pytest.raises(InputError, match="there is no plan"):
            list(spread(fill_planned, [(prepared.uri, str(tmp_path / "none"), "0")], SHARE))
    assert len({node for node, _ in found.values()}) == 2
    built = finish(prepared, {number: filled for number, (_, filled) in found.items()})
    assert shards(built.ref.uri) == shards(calm.ref.uri)
    assert built.rows.equals(calm.rows)


@pytest.mark.long
def test_the_shards_of_a_node_that_dies_are_filled_by_others(cluster: Cluster, world: Path, tmp_path: Path) -> None:
    with serve_files(world) as files, careless(items(world, files.address)) as catalog:
        expected = build(spec(), catalog.address, str(tmp_path / "calm"))
        prepared = prepare(spec(), catalog.address, str(tmp_path / "dataset"))
        calls = [(str(tmp_path), prepared.uri, prepared.plan, shard) for shard in prepared.shards]
        files.delay = 0.3
        third = cluster.add_node(num_cpus=1)
        lost: list[str] = []

        def kill() -> None:
            """SIGKILL for the node's raylet, and so for its workers, when it is in the middle of its first shard."""
            wait_for(lambda: any(tmp_path.glob(f"{third.node_id}-*")))
            time.sleep(0.3)
            lost.extend(path.name.partition("-")[2] for path in tmp_path.glob(f"{third.node_id}-*"))
            cluster.remove_node(third, allow_graceful=False)

        with join(cluster.address), ThreadPoolExecutor(1) as pool:
            killed = pool.submit(kill)
            found = dict(spread(filled_at, calls, SHARE))
            killed.result()
    assert len(lost) == 1
    assert found[prepared.shards.index(lost[0])][0] != third.node_id, "another node has filled it"
    built = finish(prepared, {number: filled for number, (_, filled) in found.items()})
    assert shards(built.ref.uri) == shards(expected.ref.uri)
    assert built.rows.equals(expected.rows)


@pytest.fixture
def outside() -> Iterator[str]:
    """The address at which a cluster of one node is joined from outside."""
    ports = {name: free_port() for name in ("port", "ray-client-server-port")}
    head = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=2"]
    command = [*head, *(f"--{name}={port}" for name, port in ports.items())]
    process = subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, **TOKEN})
    yield f"ray://127.0.0.1:{ports['ray-client-server-port']}"
    process.send_signal(signal.SIGTERM)
    process.wait(30)


@pytest.mark.long
def test_a_flow_that_is_stopped_stops_its_nodes_and_goes_on_later(outside: str, world: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    uri = str(home / "storage" / "datasets" / "speck")
    with serve_files(world) as files, careless(items(world, files.address)) as catalog:
        expected = build(spec(), catalog.address, str(tmp_path / "calm"))
        found = environment(home, catalog.address, **TOKEN, CROMA_BUILD_RAY=outside, CROMA_BUILD_MEMORY_GB="0.1")
        files.delay = 0.3
        process = begin_flow(found)
        wait_for(lambda: process.poll() is not None or len(shards(uri)) >= 4)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) != 0
        begun = len(shards(uri))
        assert 4 <= begun < len(shards(expected.ref.uri)), "it was stopped in the middle"
        seen = files.requests.total()
        time.sleep(3)
        assert files.requests.total() == seen, "nobody reads any more"
        files.delay = 0.0
        assert begin_flow(found).wait(240) == 0
    built = open_dataset(DatasetRef.of(uri))
    assert shards(uri) == shards(expected.ref.uri)
    assert built.rows.equals(expected.rows)


def begin_flow(found: dict[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "tests.faults.flow"], env=found, cwd=REPOSITORY)


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)
