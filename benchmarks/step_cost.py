"""What one training step asks of the machine: every aten kernel it launches and every byte these touch.

    python -m benchmarks.step_cost [--size base] [--batch 512] [--official CHECKOUT] [--json FILE]

Nothing is computed: tensors are fake, so a step of CROMA-B with batch 512 takes seconds on a laptop and no memory. What
is logged is what the dispatcher runs, forward and backward, in eager mode under bfloat16 autocast with CUDA's list of
operations that stay in float32. A kernel is a call that is not a view; its bytes are those of the tensors it reads and
writes, each once, broadcast ones at the size that is stored. With --official, the step of the published code
(antofuller/CROMA at 59505a6) is logged beside ours, alone as it must be: its gather of features is left out.

The roofline takes, for each kernel, the longest of its FLOPs at the matrix-product rate, its bytes at the bandwidth,
and a launch: a bound for eager execution on an H200, not a measurement.
"""

import argparse
import importlib.util
import json
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from croma.batches.batch import Batch
from croma.model import attention
from croma.model.spec import BASE, LARGE, ModelSpec
from croma.objectives.croma import CromaObjective
from croma.objectives.spec import CromaSpec

MATMUL_RATE, BANDWIDTH, LAUNCH = 790e12, 4.3e12, 3e-6
"""FLOP/s in bfloat16, byte/s, seconds: what an H200 was measured to give."""

PUBLISHED = {"base": (2353, 652.7), "large": (4369, 1437.9)}
"""Kernels of the published code's step, and megabytes a sample at batch 512, as this script counts them."""

_FREE = ("empty", "new_empty", "detach", "_unsafe_view", "lift_fresh", "alias", "_fused_sdp_choice")
"""Calls that launch nothing, by the beginning of their names."""
_WIDE = (
    "layer_norm",
    "native_layer_norm",
    "pow.Tensor_Scalar",
    "exp",
    "rsqrt",
    "norm.ScalarOpt_dim",
    "softmax.int",
    "log_softmax.int",
)
"""What CUDA's autocast computes in float32 and the CPU's does not, of what either code calls."""


@dataclass
class Cost:
    """Of one step, without the optimiser."""

    kernels: int = 0
    bytes: int = 0
    flops: int = 0
    seconds: float = 0.0
    """At the roofline."""
    bytes_of: Counter[str] = field(default_factory=Counter)
    """By name of the kernel."""

    def per_sample(self, batch: int) -> dict[str, float]:
        """The numbers that are compared, as plain values."""
        return {
            "kernels": self.kernels,
            "megabytes": round(self.bytes / batch / 1e6, 1),
            "gigaflops": round(self.flops / batch / 1e9, 2),
            "roofline_samples_per_second": round(batch / self.seconds),
            "roofline_utilisation": round(self.flops / self.seconds / MATMUL_RATE, 3),
        }


class Ledger(TorchDispatchMode):
    """Writes down the cost of all that runs while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.cost = Cost()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        space, name = func._schema.name.split("::")
        if space == "aten" and not func.is_view and not name.startswith(_FREE):
            counter = flop_registry.get(func._overloadpacket)
            flops = int(counter(*args, **(kwargs or {}), out_val=result)) if counter else 0
            tensors = {id(t): t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)}
            self._add(name, sum(stored_bytes(tensor) for tensor in tensors.values()), flops)
        return result

    def _add(self, name: str, size: int, flops: int) -> None:
        self.cost.kernels += 1
        self.cost.bytes += size
        self.cost.flops += flops
        self.cost.seconds += max(flops / MATMUL_RATE, size / BANDWIDTH, LAUNCH)
        self.cost.bytes_of[name] += size


def stored_bytes(tensor: Tensor) -> int:
    """Bytes behind `tensor`: a dimension that repeats one element counts once."""
    lengths = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(length for length, stride in lengths if stride) * tensor.element_size()


@contextmanager
def cuda_autocast() -> Iterator[None]:
    """The CPU's bfloat16 autocast with CUDA's list of operations in float32."""
    library = torch.library.Library("aten", "IMPL")
    try:
        with warnings.catch_warnings(action="ignore"):
            for name in _WIDE:
                packet, _, overload = name.partition(".")
                operation = getattr(getattr(torch.ops.aten, packet), overload or "default")
                library.impl(name, _in_float32(operation), "AutocastCPU")
        with torch.autocast("cpu", torch.bfloat16):
            yield
    finally:
        library._destroy()


def _in_float32(operation: Any) -> Callable[..., Any]:
    beyond = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)

    def call(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(beyond):
            wide = [a.float() if isinstance(a, Tensor) and a.dtype == torch.bfloat16 else a for a in args]
            return operation(*wide, **kwargs)

    return call


def ours(spec: ModelSpec, batch: int) -> Cost:
    """The cost of a step of this project."""
    attention.WRITTEN_KEYS = 0  # the kernels of a GPU
    with FakeTensorMode():
        objective = CromaObjective(CromaSpec(model=spec))
        images = Batch(
            radar=torch.rand(batch, spec.radar_channels, *spec.size),
            optical=torch.rand(batch, spec.optical_channels, *spec.size),
            keys=torch.zeros(batch, dtype=torch.int64),
        )
        with Ledger() as ledger:
            with cuda_autocast():
                local = objective(images)
                terms = local.terms | objective.coupled(local.features)
                loss = sum(terms.values(), torch.zeros(()))
            loss.backward()
    return ledger.cost


def published(checkout: Path, spec: ModelSpec, batch: int) -> Cost:
    """The cost of the published code's step, its masks included."""
    module = load_published(checkout)
    module.gather_features = lambda features, **_: features.detach()
    with FakeTensorMode():
        model = module.CROMA(encoder_dim=spec.encoder_dim, encoder_layers=spec.encoder_depth)
        images = torch.rand(batch, 14, 120, 120)
        with Ledger() as ledger:
            with cuda_autocast():
                masks = [module.get_mask(batch, 225, "cpu", 0.75) for _ in range(2)]
                contrast, error = model(images, *masks, rank=0, world_size=1)
            (contrast + error).backward()
    return ledger.cost


def load_published(checkout: Path) -> Any:
    """The published module, loaded from its checkout."""
    vars(np)["float"] = float  # gone from NumPy since it was written
    spec = importlib.util.spec_from_file_location("published_croma", checkout / "pretrain_croma.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", choices=("base", "large"), default="base")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--official", type=Path, help="a checkout of antofuller/CROMA")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()
    spec = {"base": BASE, "large": LARGE}[options.size]
    costs = {"ours": ours(spec, options.batch)}
    if options.official:
        costs["published"] = published(options.official, spec, options.batch)
    table = {name: cost.per_sample(options.batch) for name, cost in costs.items()}
    if "published" in table:
        table["ratio"] = {name: round(table["ours"][name] / table["published"][name], 3) for name in table["ours"]}
    for name, row in table.items():
        print(f"{name:10}" + "  ".join(f"{key} {value}" for key, value in row.items()))
    for name, size in costs["ours"].bytes_of.most_common(12):
        print(f"  {size / options.batch / 1e6:8.1f} MB/sample  {name}")
    if options.json:
        options.json.write_text(json.dumps({"size": options.size, "batch": options.batch, **table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
