"""Shards filled on the nodes of a Ray cluster: the bytes that threads would have written, whichever node dies."""

from collections.abc import Iterator
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
from tests.faults.speck import build, items, shards, spec
from tests.servers.ranges import serve_files
from tests.servers.stac import careless

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SHARE = Share(cpus=1, memory=100 << 20)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that fills nothing, and two nodes with room for one shard each."""
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        found.add_node(num_cpus=1)
    yield found
    found.shutdown()


def filled_at(uri: str, plan: str, shard: str) -> tuple[str, Filled]:
    """A shard filled, and the node that did it."""
    return ray.get_runtime_context().get_node_id(), fill_planned(uri, plan, shard)


def finish(prepared: Prepared, filled: dict[int, Filled]) -> Dataset:
    cards = [read_card(prepared.uri, filled[number].card) for number in range(len(prepared.shards))]
    return open_dataset(seal(prepared.uri, cards, {}, spec().quality.fingerprint))


def test_nodes_write_what_threads_write(cluster: Cluster, world: Path, calm: Dataset, tmp_path: Path) -> None:
    with careless(items(world, str(world))) as catalog:
        prepared = prepare(spec(), catalog.address, str(tmp_path / "dataset"))
    calls = [(prepared.uri, prepared.plan, shard) for shard in prepared.shards]
    with join(cluster.address):
        found = dict(spread(filled_at, calls, SHARE))
        with pytest.raises(InputError, match="there is no plan"):
            list(spread(fill_planned, [(prepared.uri, str(tmp_path / "none"), "0")], SHARE))
    assert len({node for node, _ in found.values()}) == 2
    built = finish(prepared, {number: filled for number, (_, filled) in found.items()})
    assert shards(built.ref.uri) == shards(calm.ref.uri)
    assert built.rows.equals(calm.rows)


@pytest.mark.stack
def test_the_shards_of_a_node_that_dies_are_filled_by_others(cluster: Cluster, world: Path, tmp_path: Path) -> None:
    with serve_files(world) as files, careless(items(world, files.address)) as catalog:
        expected = build(spec(), catalog.address, str(tmp_path / "calm"))
        files.delay = 0.02
        prepared = prepare(spec(), catalog.address, str(tmp_path / "dataset"))
        calls = [(prepared.uri, prepared.plan, shard) for shard in prepared.shards]
        third = cluster.add_node(num_cpus=1)
        with join(cluster.address):
            found: dict[int, tuple[str, Filled]] = {}
            for number, result in spread(filled_at, calls, SHARE):
                found[number] = result
                if len(found) == 3:
                    cluster.remove_node(third, allow_graceful=False)  # SIGKILL for its raylet; its workers go with it
        deaths = [node for node in cluster.list_all_nodes() if node is third]
        assert deaths == []
    built = finish(prepared, {number: filled for number, (_, filled) in found.items()})
    assert shards(built.ref.uri) == shards(expected.ref.uri)
    assert built.rows.equals(expected.rows)
