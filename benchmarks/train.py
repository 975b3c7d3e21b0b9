"""What workers, checkpoints and resumes cost, on this machine: a part of `make bench-train`. Needs no Ray.

Workers are processes of one machine that talk through gloo, one thread each. A step is a step of `croma.training.loop`:
forward, backward, sum of gradients, clipping, AdamW; the global batch stays the same, so more workers do less each.
Checkpoints are those of CROMA-B with the state of AdamW, written to local disk.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import distributed as dist

from benchmarks.build import machine_facts
from croma.batches.batch import Batch, RawBatch
from croma.distributed import share
from croma.model.spec import BASE, SMALL, ModelSpec
from croma.objectives.croma import CromaObjective
from croma.objectives.objective import Objective
from croma.objectives.spec import CromaSpec
from croma.training.checkpoint import CheckpointStore
from croma.training.loop import Plan, StepReport, train
from croma.training.settings import AdamW
from croma.training.step import Stepper

SIZES = {"small": SMALL, "base": BASE}
WARM_UP = 3
"""Steps that do not count."""


class Watch:
    """Keeps the seconds of every step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def after_step(self, report: StepReport, batch: Batch, objective: Objective) -> None:  # noqa: ARG002
        """See `croma.training.loop.Watcher`."""
        self.seconds.append(report.seconds)


def work(rank: int, world: int, meeting: str, spec: ModelSpec, batch: int, steps: int) -> None:
    """Be one worker; rank 0 writes the median step beside `meeting`."""
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=world)
    torch.manual_seed(0)
    objective = CromaObjective(CromaSpec(model=spec))
    rows = share(batch, rank, world)
    draw = torch.Generator().manual_seed(1)
    radar = torch.rand(batch, spec.radar_channels, *spec.size, generator=draw)[rows]
    optical = torch.rand(batch, spec.optical_channels, *spec.size, generator=draw)[rows]
    keys = torch.arange(batch)[rows]

    def batches(start: int, stop: int) -> Iterator[RawBatch]:
        for _ in range(start, stop):
            yield RawBatch(radar, {10: optical}, keys, ())

    def images(raw: RawBatch) -> Batch:
        return Batch(raw.radar, raw.optical[10], raw.keys)

    watch = Watch()
    train(objective, batches, images, Plan(steps=WARM_UP + steps, global_batch=batch), watchers=[watch])
    if rank == 0:
        Path(f"{meeting}.seconds").write_text(str(median(watch.seconds[WARM_UP:])))
    if world > 1:
        dist.destroy_process_group()


def step_seconds(world: int, spec: ModelSpec, batch: int, steps: int) -> float:
    """Median seconds of a step with `world` workers."""
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"{folder}/meeting"
        workers = [
            processes.Process(target=work, args=(rank, world, meeting, spec, batch, steps)) for rank in range(world)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return float(Path(f"{meeting}.seconds").read_text())


def scaling(spec: ModelSpec, batch: int, steps: int, rounds: int) -> list[dict[str, Any]]:
    """Samples a second with 1, 2 and 4 workers, in turns."""
    found: dict[int, list[float]] = {1: [], 2: [], 4: []}
    for _ in range(rounds):
        for world, rates in found.items():
            rates.append(batch / step_seconds(world, spec, batch, steps))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    alone = median(found[1])
    return [
        {
            "workers": world,
            "samples_per_second": round(median(rates), 1),
            "range": [round(min(rates), 1), round(max(rates), 1)],
            "efficiency": round(median(rates) / (alone * min(world, cores)), 2),
        }
        for world, rates in found.items()
    ]


def checkpoints(spec: ModelSpec, rounds: int) -> dict[str, Any]:
    """Seconds that a checkpoint holds up training, that its writing takes beside it, and that a resume takes."""
    torch.manual_seed(0)
    objective = CromaObjective(CromaSpec(model=spec))
    stepper = Stepper(objective, AdamW(), "float32")
    stepper.update(1e-4, 1.0)  # AdamW has its moments from now on
    state = {"objective": objective.state_dict(), "optimiser": stepper.optimiser.state_dict(), "progress": {"step": 1}}
    held, written, read = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            store = CheckpointStore(folder)
            began = time.perf_counter()
            store.save(number, state, 1.0)
            held.append(time.perf_counter() - began)
            store.close()
            written.append(time.perf_counter() - began)
            began = time.perf_counter()
            found = CheckpointStore(folder).newest()
            assert found is not None
            objective.load_state_dict(found["objective"])
            stepper.optimiser.load_state_dict(found["optimiser"])
            read.append(time.perf_counter() - began)
        size = max(path.stat().st_size for path in Path(folder).rglob("state.pt"))
    return {
        "gigabytes": round(size / 1e9, 2),
        "seconds_held_up": round(median(held), 2),
        "seconds_until_written": round(median(written), 2),
        "seconds_to_resume": round(median(read), 2),
    }


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="small", help="of the network whose steps are timed")
    parser.add_argument("--saved", choices=SIZES, default="base", help="of the network that is saved")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()
    report: dict[str, Any] = {"machine": machine_facts(), "torch": torch.__version__, "batch": options.batch}
    report["scaling"] = scaling(SIZES[options.size], options.batch, options.steps, options.rounds)
    for row in report["scaling"]:
        print(
            f"{row['workers']} workers  {row['samples_per_second']:7.1f} samples/s  {row['range']}  "
            f"efficiency {row['efficiency']:.2f}"
        )
    report["checkpoint"] = checkpoints(SIZES[options.saved], options.rounds)
    print("  ".join(f"{name} {value}" for name, value in report["checkpoint"].items()))
    print(report["machine"])
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
