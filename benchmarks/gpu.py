"""Training steps on one GPU: samples a second, share of the matrix-product rate, memory. Needs torch and numpy alone.

    python -m benchmarks.gpu [--sizes base large] [--batch 512] [--official CHECKOUT] [--json FILE]

A step is forward, backward and AdamW on normalised images that are already on the device. All variants of a size are
built and timed in turn in one process, several rounds of each; the median of the rounds and their range are reported.
Ours runs in bfloat16, eager and compiled; with --official, the published code (antofuller/CROMA at 59505a6; it needs
einops) runs as published, in float32, and under bfloat16 autocast. Utilisation is the FLOPs of our step over the time
and the rate of a large bfloat16 matrix product measured in the same run. On a CPU (--device cpu --sizes small) it shows
that it works.
"""

import argparse
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch import nn

from benchmarks.step_cost import load_published, ours
from croma.batches.batch import Batch
from croma.model.spec import BASE, LARGE, SMALL, ModelSpec
from croma.objectives.croma import CromaObjective
from croma.objectives.spec import CromaSpec
from croma.training.settings import AdamW
from croma.training.step import Stepper

SIZES = {"base": BASE, "large": LARGE, "small": SMALL}

Step = Callable[[], None]


@dataclass
class Variant:
    """One way to take a step, and what was measured of it."""

    make: Callable[[], Step]
    rates: list[float] = field(default_factory=list)
    """Samples a second, one a round."""
    memory: int = 0
    """Peak bytes of the device."""
    failure: str = ""


class Machine:
    """The device that is measured."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.is_gpu = self.device.type == "cuda"

    @property
    def name(self) -> str:
        """What it calls itself."""
        return torch.cuda.get_device_name(self.device) if self.is_gpu else "CPU"

    def wait(self) -> None:
        """Until all work that was launched is done."""
        if self.is_gpu:
            torch.cuda.synchronize(self.device)

    def forget(self) -> None:
        """Frees what nobody holds, and begins to measure memory anew."""
        gc.collect()
        if self.is_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak(self) -> int:
        """Most bytes in use since `forget`; 0 on a CPU."""
        return torch.cuda.max_memory_allocated(self.device) if self.is_gpu else 0

    def matmul_rate(self, side: int) -> float:
        """FLOP/s of a square bfloat16 matrix product."""
        a, b = (torch.randn(side, side, device=self.device, dtype=torch.bfloat16) for _ in range(2))
        for _ in range(3):
            a @ b
        self.wait()
        begin = time.perf_counter()
        for _ in range(10):
            a @ b
        self.wait()
        return 10 * 2 * side**3 / (time.perf_counter() - begin)


def images(spec: ModelSpec, batch: int, device: torch.device) -> Batch:
    """A batch of noise."""
    radar = torch.rand(batch, spec.radar_channels, *spec.size, device=device)
    optical = torch.rand(batch, spec.optical_channels, *spec.size, device=device)
    return Batch(radar=radar, optical=optical, keys=torch.arange(batch, device=device))


def our_step(spec: ModelSpec, batch: int, device: torch.device, compiled: bool) -> Step:
    """A step as `croma pretrain` takes it."""
    objective = CromaObjective(CromaSpec(model=spec)).to(device)
    stepper = Stepper(objective, AdamW(), "bfloat16", compiled)
    data = images(spec, batch, device)

    def step() -> None:
        outcome = stepper.gradient([data], batch)
        stepper.update(1e-4, outcome.grad_norm)

    return step


def published_step(checkout: Path, spec: ModelSpec, batch: int, device: torch.device, narrow: bool) -> Step:
    """A step of the published code, with PyTorch's fused AdamW, as it has no optimiser of its own."""
    module = load_published(checkout)
    if not dist.is_initialized():
        meeting = (Path(tempfile.mkdtemp()) / "meeting").as_uri()
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", meeting, rank=0, world_size=1)
    model: nn.Module = module.CROMA(encoder_dim=spec.encoder_dim, encoder_layers=spec.encoder_depth).to(device)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
    data = images(spec, batch, device)
    stacked = torch.cat((data.optical, data.radar), dim=1)

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=narrow):
            masks = [module.get_mask(batch, 225, device, 0.75) for _ in range(2)]
            contrast, error = model(stacked, *masks, rank=0, world_size=1)
        (contrast + error).backward()
        optimiser.step()

    return step


def variants(name: str, batch: int, machine: Machine, options: Any) -> dict[str, Variant]:
    """What is compared at one size."""
    spec, device = SIZES[name], machine.device
    found = {"ours, bfloat16": Variant(lambda: our_step(spec, batch, device, False))}
    if options.compile:
        found["ours, bfloat16, compiled"] = Variant(lambda: our_step(spec, batch, device, True))
    if options.official and name != "small":
        path = options.official
        found["published, bfloat16"] = Variant(lambda: published_step(path, spec, batch, device, True))
        found["published, as published"] = Variant(lambda: published_step(path, spec, batch, device, False))
    return found


def measure(variant: Variant, batch: int, machine: Machine, options: Any) -> None:
    """Build, warm up, time the rounds, take down."""
    machine.forget()
    try:
        step = variant.make()
        for _ in range(3):
            step()
        machine.wait()
        for _ in range(options.rounds):
            begin = time.perf_counter()
            for _ in range(options.steps):
                step()
            machine.wait()
            variant.rates.append(batch * options.steps / (time.perf_counter() - begin))
        variant.memory = machine.peak()
    except torch.OutOfMemoryError:
        variant.failure = f"out of memory at batch {batch}"
    except RuntimeError as error:  # of one variant: the others are still worth their time
        variant.failure = str(error).strip().splitlines()[-1][:200]


def row(variant: Variant, flops: float, rate: float) -> dict[str, Any]:
    """What is reported of a variant."""
    if variant.failure:
        return {"failure": variant.failure}
    median = statistics.median(variant.rates)
    return {
        "samples_per_second": round(median, 1),
        "range": [round(min(variant.rates), 1), round(max(variant.rates), 1)],
        "utilisation": round(median * flops / rate, 3),
        "gibibytes": round(variant.memory / 2**30, 1),
    }


def compare(name: str, machine: Machine, options: Any) -> dict[str, Any]:
    """All variants of one size, in turn."""
    batch, rate = options.batch, machine.matmul_rate(8192 if machine.is_gpu else 512)
    found = variants(name, batch, machine, options)
    for variant in found.values():
        measure(variant, batch, machine, options)
    flops = ours(SIZES[name], 2).flops / 2
    rows = {label: row(variant, flops, rate) for label, variant in found.items()}
    for label, values in rows.items():
        print(f"{name:6} {label:26} {values}", flush=True)
    facts = {"batch": batch, "gigaflops_per_sample": round(flops / 1e9, 2), "matmul_teraflops": round(rate / 1e12, 2)}
    return {**facts, "variants": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["base", "large"])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--official", type=Path, help="a checkout of antofuller/CROMA")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()
    machine = Machine(options.device)
    report = {"device": machine.name, "torch": torch.__version__}
    report |= {name: compare(name, machine, options) for name in options.sizes}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
