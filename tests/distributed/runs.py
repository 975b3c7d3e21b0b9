"""Looking at a run of `tests.distributed.driver` from outside."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from croma.evaluation.history import read_history
from croma.model.weights import load_weights
from croma.tracking.tracker import local_tracker
from croma.training.spec import TrainResult


def curve(root: str, result: TrainResult) -> dict[int, float]:
    """The loss of every step, as the tracker has it."""
    assert result.tracking is not None
    history = read_history(local_tracker(Path(root) / "home"), result.tracking, "train/loss")
    assert len(history) == len(dict(history)), "a step stands twice"
    return dict(history)


def assert_same_weights(one: TrainResult, other: TrainResult) -> None:
    a, b = (load_weights(Path(result.weights))[0].state_dict() for result in (one, other))
    assert all(torch.equal(a[name], b[name]) for name in a)


def saved(root: str, name: str) -> int:
    """The newest checkpoint of a run so far."""
    manifests = Path(root).glob(f"runs/{name}-*/checkpoints/*/manifest.json")
    return max((int(path.parent.name) for path in manifests), default=0)


def wait_for(condition: Callable[[], Any], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
    return found
