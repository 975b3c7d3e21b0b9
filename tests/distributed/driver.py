"""A driver of a small pretraining on Ray, as a process that can be killed: `python -m tests.distributed.driver`."""

import json
import sys
from pathlib import Path
from typing import Any

from croma.shards.ref import DatasetRef
from croma.tracking.tracker import local_tracker
from croma.training.ray_job import run_training
from croma.training.spec import TrainResult, TrainSpec
from tests.distributed.worker import OBJECTIVES, SPEC

STEPS = 300


def make_spec(objective: str = "croma", **resources: Any) -> TrainSpec:
    """A pretraining of a few seconds."""
    given = {"workers": 2, "checkpoint_every": 20, "look_every": 200, **resources}
    # A rate at which rounding stays rounding: on noise it grows with every step, undisturbed too.
    changes = {"objective": OBJECTIVES[objective], "schedule": {"lr": 5e-5, "warmup": 3}, "steps": STEPS}
    return TrainSpec.parse({**SPEC, **changes, "resources": given}, "test")


def pretrain(root: str, dataset: str, name: str, objective: str = "croma", **resources: Any) -> TrainResult:
    tracker = local_tracker(Path(root) / "home")
    return run_training(make_spec(objective, **resources), DatasetRef(uri=dataset), root, name=name, tracker=tracker)


if __name__ == "__main__":
    sys.stdout.write(pretrain(*sys.argv[1:4], **json.loads(sys.argv[4])).to_json().decode())
