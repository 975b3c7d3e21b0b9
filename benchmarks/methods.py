"""What a sample costs each method, and how fast each is for that.

    python -m benchmarks.methods [--batch 256] [--measure SAMPLES] [--json FILE]

Costs are counted on tensors without content (see `benchmarks.step_cost`): operations of a step, forward and backward,
the kernels that eager PyTorch launches under bfloat16 autocast, the bytes they touch, and from these the bound that an
H200 sets. With --measure each method then takes real steps in float32 on one core of this machine. Seconds are those
that the core worked, so that they hold on a busy machine too. To be compared are operations a second, which would
be the same for all methods if operations were all that took time.
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.step_cost import Cost, Ledger, cuda_autocast
from croma.batches.batch import Batch
from croma.model.towers_spec import TowersSpec
from croma.objectives.choose import build
from croma.objectives.spec import CmidSpec, CromaSpec, DualEncoderSpec, ObjectiveSpec
from croma.training.settings import AdamW
from croma.training.step import Stepper

RESNET = {"backbone": "resnet", "patch": 32}
SWIN = TowersSpec(towers=("optical",), backbone="swin", width=128, blocks=(2, 2, 18, 2), patch=32, image=224, window=7)
METHODS: dict[str, ObjectiveSpec] = {
    "CROMA, ViT-B, 120 px": CromaSpec(),
    "dual encoder, ViT-B, 120 px": DualEncoderSpec(),
    "dual encoder, ResNet-50, 128 px": DualEncoderSpec(model=TowersSpec(**RESNET, image=128)),
    "single sensor (optical), ResNet-50, 128 px": DualEncoderSpec(
        positives="views", model=TowersSpec(**RESNET, towers=("optical",), image=128)
    ),
    "CMID (optical), ViT-B, 120 px": CmidSpec(),
    "CMID (optical), ResNet-50, 224 px": CmidSpec(
        model=TowersSpec(**RESNET, towers=("optical",), image=224), mask_patch=32
    ),
    "CMID (optical), Swin-B, 224 px": CmidSpec(model=SWIN, mask_patch=32),
}
"""At published sizes where there are any, and with one backbone."""


def images(spec: ObjectiveSpec, batch: int) -> Batch:
    """Random images that suit an objective."""
    model = spec.model
    return Batch(
        radar=torch.rand(batch, model.radar_channels, *model.size),
        optical=torch.rand(batch, model.optical_channels, *model.size),
        keys=torch.arange(batch),
    )


def count(spec: ObjectiveSpec, batch: int) -> Cost:
    """The cost of a step without the optimiser."""
    with FakeTensorMode():
        objective, given = build(spec), images(spec, batch)
        with Ledger() as ledger:
            with cuda_autocast():
                local = objective(given)
                loss = sum((local.terms | objective.coupled(local.features)).values(), torch.zeros(()))
            loss.backward()
    return ledger.cost


def measure(spec: ObjectiveSpec, batch: int, steps: int) -> float:
    """Samples that pass in a second of one core's work: the best of `steps` after one to warm up."""
    torch.set_num_threads(1)
    objective = build(spec)
    stepper, given, best = Stepper(objective, AdamW(), "float32"), images(spec, batch), float("inf")
    for _ in range(steps + 1):
        began = time.process_time()
        outcome = stepper.gradient([given], batch)
        stepper.update(1e-5, outcome.grad_norm)
        objective.update(0, steps)
        best = min(best, time.process_time() - began)
    return batch / best


def rows(methods: Mapping[str, ObjectiveSpec], batch: int, measured: int = 0, steps: int = 1) -> list[dict[str, Any]]:
    """A row for each method; with `measured`, real steps of so many samples too."""
    found = []
    for name, spec in methods.items():
        cost = count(spec, batch).per_sample(batch)
        row = {"method": name, **{key: cost[key] for key in ("gigaflops", "kernels", "megabytes")}}
        row["bound_samples_per_second"] = cost["roofline_samples_per_second"]
        row["bound_utilisation"] = cost["roofline_utilisation"]
        if measured:
            row["samples_per_core_second"] = round(measure(spec, measured, steps), 3)
            row["gigaflops_per_core_second"] = round(row["samples_per_core_second"] * cost["gigaflops"], 1)
        found.append(row)
        print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, default=256, help="of the counted step")
    parser.add_argument("--measure", type=int, default=0, metavar="SAMPLES", help="take real steps of so many samples")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()
    table = rows(METHODS, options.batch, options.measure, options.steps)
    if options.json:
        options.json.write_text(json.dumps({"batch": options.batch, "methods": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
