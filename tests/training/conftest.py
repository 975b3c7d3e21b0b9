"""A training small enough to watch: random pixels in memory, and the real CROMA objective at its smallest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch

from croma.batches.batch import Batch, RawBatch
from croma.batches.order import Order
from croma.model.spec import ModelSpec
from croma.model.towers_spec import TowersSpec
from croma.objectives.choose import build
from croma.objectives.spec import CmidSpec, CromaSpec, DualEncoderSpec, ObjectiveSpec
from croma.training.loop import Plan
from croma.training.schedule import Schedule

SPEC = CromaSpec(
    model=ModelSpec(
        encoder_dim=16, encoder_depth=2, encoder_heads=2, decoder_dim=16, decoder_heads=2, image=16, patch=4
    ),
    radar_mask_ratio=0.5,
    optical_mask_ratio=0.5,
)


@dataclass
class Pixels:
    """A dataset in memory whose batches follow the order."""

    chips: int = 40
    global_batch: int = 8
    rank: int = 0
    world: int = 1
    seen: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    """(step, chip ids) of every batch that was handed out."""

    def __post_init__(self) -> None:
        draw = torch.Generator().manual_seed(5)
        self.radar = torch.rand(self.chips, 2, 16, 16, generator=draw)
        self.optical = torch.rand(self.chips, 12, 16, 16, generator=draw)
        self.order = Order(
            seed=3,
            dataset="d",
            places=np.arange(self.chips),
            runs=np.array([0, self.chips]),
            global_batch=self.global_batch,
        )

    def batches(self, start: int, stop: int) -> Iterator[RawBatch]:
        for step in range(start, stop):
            draw = self.order.slice(step, self.rank, self.world)
            rows = torch.from_numpy(draw.chips)
            ids = tuple(f"chip-{chip}" for chip in draw.chips)
            self.seen.append((step, ids))
            yield RawBatch(self.radar[rows], {10: self.optical[rows]}, torch.from_numpy(draw.keys), ids)

    def images(self, raw: RawBatch) -> Batch:
        return Batch(raw.radar, raw.optical[10], raw.keys, raw.ids)


class Memory:
    """Checkpoints in memory."""

    def __init__(self) -> None:
        self.states: dict[int, dict[str, Any]] = {}

    def newest(self) -> dict[str, Any] | None:
        return clone(self.states[max(self.states)]) if self.states else None

    def save(self, step: int, state: dict[str, Any], loss: float) -> None:
        self.states[step] = clone(state)

    def wait(self) -> None:
        pass


def clone(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


class Losses:
    """Writes down every report."""

    def __init__(self) -> None:
        self.reports: list[Any] = []

    def after_step(self, report: Any, batch: Batch, objective: Any) -> None:
        self.reports.append(report)

    @property
    def curve(self) -> list[tuple[int, float, float]]:
        return [(report.step, report.loss, report.grad_norm) for report in self.reports]


TOWER = TowersSpec(dim=16, depth=1, heads=2, image=16, patch=4)
SPECS: dict[str, ObjectiveSpec] = {
    "croma": SPEC,
    "dual-encoder": DualEncoderSpec(model=TOWER, projection=8),
    "single-sensor": DualEncoderSpec(model=replace(TOWER, towers=("radar",)), positives="views", projection=8),
    "cmid": CmidSpec(
        model=replace(TOWER, towers=("optical",)),
        mask_patch=8,
        matches=4,
        hidden=16,
        projection=8,
        queue=40,
        prototypes=12,
    ),
}
"""The smallest of each kind."""


def make_objective(spec: ObjectiveSpec = SPEC) -> Any:
    torch.manual_seed(11)
    return build(spec)


def make_plan(**changes: Any) -> Plan:
    fields = {"steps": 12, "global_batch": 8, "checkpoint_every": 4, "schedule": Schedule(lr=2e-3, warmup=2)}
    return Plan(**(fields | changes))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tools() -> Any:
    """What is in this file, by name."""

    class Tools:
        pixels: Callable[..., Pixels] = Pixels
        memory = Memory
        losses = Losses
        objective = staticmethod(make_objective)
        plan = staticmethod(make_plan)
        spec = SPEC
        specs = SPECS

    return Tools
