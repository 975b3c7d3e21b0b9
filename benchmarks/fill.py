"""How much faster shards are filled by more nodes of a Ray cluster where reading waits: `python -m benchmarks.fill`.

The scene of `benchmarks.build` lies behind a loopback server; each node has room for one shard. Waiting is what nodes
of one machine can share: its processors they have in common.
"""

import argparse
import time
from pathlib import Path
from statistics import median

from ray.cluster_utils import Cluster

from benchmarks.build import REPOSITORY, machine_facts, slow_server, sparse
from benchmarks.full_scene import make_scene
from benchmarks.readers import Job, ours_to_shard
from croma.nodes import Share, join, spread

CHIPS = 12
"""Of a shard, strewn over the scene."""


def measure(base: str, shards: int) -> tuple[float, list[int]]:
    """Seconds to fill so many shards on the cluster that this process is in, and what was read."""
    cells = sparse(CHIPS * shards)
    calls = [(Job(base=base, size=120, cells=tuple(cells[n::shards])),) for n in range(shards)]
    began = time.perf_counter()
    found = dict(spread(ours_to_shard, calls, Share(cpus=1, memory=100 << 20)))
    return time.perf_counter() - began, [found[number] for number in range(shards)]


def main() -> None:
    """Add node after node, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / ".croma" / "bench", help="where the scene is kept")
    parser.add_argument("--delay", type=float, default=0.2, help="seconds before each answer of the server")
    parser.add_argument("--shards", type=int, default=24)
    parser.add_argument("--nodes", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    make_scene(arguments.folder)
    print(machine_facts())
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    read, there = list[list[int]](), 0
    with slow_server(arguments.folder, arguments.delay) as base, join(cluster.address):
        for nodes in arguments.nodes:
            while there < nodes:
                cluster.add_node(num_cpus=1)
                there += 1
            measure(base, 2 * nodes)  # every node loads what it needs
            rounds = [measure(base, arguments.shards) for _ in range(arguments.rounds)]
            read += [found for _, found in rounds]
            paces = [arguments.shards / seconds for seconds, _ in rounds]
            print(f"{nodes} nodes: {median(paces):.2f} shards/s ({min(paces):.2f} to {max(paces):.2f})", flush=True)
    assert all(found == read[0] for found in read), "however many nodes, the same pixels"
    cluster.shutdown()


if __name__ == "__main__":
    main()
