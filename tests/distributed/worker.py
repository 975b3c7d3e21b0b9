"""One of several workers of a small training, as a process that can be killed. Writes a line of JSON for every step."""

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from croma.batches.augment import augment
from croma.batches.batch import Batch
from croma.batches.loader import Loader
from croma.batches.readers import Readers
from croma.batches.source import LocalShards
from croma.objectives.choose import build
from croma.shards.ref import DatasetRef
from croma.training.checkpoint import CheckpointStore
from croma.training.data import open_training_data
from croma.training.loop import StepReport, train
from croma.training.spec import TrainSpec
from croma.training.worker import make_plan

SPEC: dict[str, Any] = {
    "objective": {
        "model": {
            "encoder_dim": 16,
            "encoder_depth": 2,
            "encoder_heads": 2,
            "decoder_dim": 16,
            "decoder_heads": 2,
            "image": 16,
            "patch": 4,
        },
        "contrast_grad": "paper",
    },
    "steps": 24,
    "global_batch": 8,
    "precision": "float32",
    "schedule": {"lr": 2e-3, "warmup": 3},
    "augmentation": {"crop": [12, 24]},
    "resources": {"checkpoint_every": 3},
}
TOWER: dict[str, Any] = {"dim": 16, "depth": 1, "heads": 2, "image": 16, "patch": 4}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "croma": SPEC["objective"],
    "dual-encoder": {"kind": "dual_encoder", "model": TOWER, "projection": 8},
    "single-sensor": {"kind": "dual_encoder", "positives": "views", "model": {**TOWER, "towers": ["optical"]}},
    "cmid": {
        "kind": "cmid",
        "model": {**TOWER, "towers": ["joint"]},
        "mask_patch": 8,
        "matches": 4,
        "hidden": 16,
        "projection": 8,
        "queue": 40,
        "prototypes": 12,
    },
}
"""The smallest of each kind."""
# On eight chips of noise the published temperature makes a difference of 3e-7 in the weights one of 1e-5 in the loss.
OBJECTIVES["mild-dual-encoder"] = OBJECTIVES["dual-encoder"] | {"temperature": 1.0}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What one process is told."""

    dataset: str
    folder: str
    """For checkpoints and lines; shared by the workers of a run."""
    rank: int
    world: int
    meeting: str
    """A file that does not exist yet."""
    micro_batch: int | None = None
    steps: int = 24
    objective: str = "croma"
    sharding: str = "replicated"
    rate: float = SPEC["schedule"]["lr"]


class Recorder:
    """Writes what happened in every step."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    def after_step(self, report: StepReport, batch: Batch, objective: Any) -> None:
        masks = [mask for both in objective.masks(batch.keys) for mask in both] if hasattr(objective, "masks") else []
        line = {
            "step": report.step,
            "loss": report.loss,
            "grad_norm": report.grad_norm,
            "ids": list(batch.ids),
            "pixels": [digest(batch.radar[i], batch.optical[i]) for i in range(len(batch.ids))],
            "masks": [digest(*(mask[i] for mask in masks)) for i in range(len(batch.ids))],
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def digest(*tensors: Tensor) -> str:
    content = hashlib.sha256()
    for tensor in tensors:
        content.update(tensor.contiguous().numpy().tobytes())
    return content.hexdigest()[:16]


def main(options: Options) -> None:
    torch.set_num_threads(1)
    if options.world > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{options.meeting}", rank=options.rank, world_size=options.world
        )
    resources = {**SPEC["resources"], "micro_batch": options.micro_batch, "sharding": options.sharding}
    schedule = SPEC["schedule"] | {"lr": options.rate}
    changes = {"objective": OBJECTIVES[options.objective], "steps": options.steps, "resources": resources}
    spec = TrainSpec.parse({**SPEC, **changes, "schedule": schedule}, "test")
    data = open_training_data(DatasetRef(uri=options.dataset), spec)
    torch.manual_seed(spec.seed)
    objective: Any = build(spec.objective)
    folder = Path(options.folder)
    store = CheckpointStore(str(folder / "checkpoints"))
    filler = Readers(data.chips, LocalShards(data.chips))
    with Loader(
        data.order(spec), data.chips, data.layout.planes, filler, rank=options.rank, world=options.world
    ) as loader:
        images = partial(augment, normalisation=data.scaling, augmentation=spec.augmentation, image_size=16)
        lines = folder / f"rank-{options.rank}-{os.getpid()}.jsonl"
        train(objective, loader.batches, images, make_plan(spec), checkpoints=store, watchers=[Recorder(lines)])
    assert ("croma.training.sharding" in sys.modules) == (options.sharding == "sharded")
    if options.rank == 0:
        torch.save(objective.state_dict(), folder / "weights.pt")
