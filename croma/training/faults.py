"""What to make of a step that went wrong: recognise it, and name the chips that did it."""

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import torch
from torch import distributed as dist

from croma import distributed
from croma.batches.batch import Batch
from croma.objectives.objective import Objective
from croma.training.settings import Faults

NAMED = 5
"""Chips that are named when none of them is clearly to blame."""


class Suspect(NamedTuple):
    """A chip and how it did by itself."""

    loss: float
    """Weighted sum of its local terms; NaN where something about it is not finite."""
    chip: str
    reason: str


def find_fault(loss: float, grad_norm: float, recent: Sequence[float], settings: Faults) -> str | None:
    """What is wrong with a step, in words; None when nothing is. `recent` has the losses before it, oldest first."""
    if not math.isfinite(loss):
        return f"the loss is {loss}"
    if not math.isfinite(grad_norm):
        return f"the gradient is {grad_norm} long"
    if settings.spike is not None and len(recent) >= settings.memory:
        usual = median(recent[-settings.memory :])
        if loss > settings.spike * usual:
            return f"the loss jumped to {loss:.4g}, {loss / usual:.1f} times the median of {settings.memory} steps"
    return None


@torch.no_grad()
def find_suspects(objective: Objective, batch: Batch) -> list[Suspect]:
    """The chips of all workers that are not finite by themselves, or those with the largest losses.

    Every chip is passed alone, in the precision that the caller has set. All workers must call it.
    """
    found = [_examine(objective, batch, row) for row in range(len(batch.keys))]
    everyone: list[list[Suspect]] = [found]
    if distributed.world_size() > 1:
        everyone = [[] for _ in range(distributed.world_size())]
        dist.all_gather_object(everyone, found)
    suspects = [suspect for part in everyone for suspect in part]
    broken = [suspect for suspect in suspects if math.isnan(suspect.loss)]
    return broken or sorted(suspects, reverse=True)[:NAMED]


def describe(suspects: Sequence[Suspect]) -> str:
    """Suspects as one sentence."""
    named = ", ".join(f"{suspect.chip} ({suspect.reason})" for suspect in suspects[:20])
    if any(math.isnan(suspect.loss) for suspect in suspects):
        return f"chips that are not finite by themselves: {named}"
    return f"no chip is to blame by itself; the largest losses: {named}"


def _examine(objective: Objective, batch: Batch, row: int) -> Suspect:
    chip = slice(row, row + 1)
    alone = Batch(batch.radar[chip], batch.optical[chip], batch.keys[chip])
    name = batch.ids[row]
    for sensor, pixels in (("radar", alone.radar), ("optical", alone.optical)):
        if not pixels.isfinite().all():
            return Suspect(math.nan, name, f"{sensor} pixels are not finite")
    local = objective.forward(alone)
    for what, tensor in (local.features | local.terms).items():
        if not tensor.isfinite().all():
            return Suspect(math.nan, name, f"{what} is not finite")
    loss = sum(objective.weights[term] * float(value) for term, value in local.terms.items())
    return Suspect(loss, name, f"loss {loss:.4g}")
