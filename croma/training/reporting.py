"""What a run tells while it trains: metrics for the tracker, a line for the terminal."""

import logging
import resource
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from croma.batches.batch import Batch
from croma.errors import TransientError
from croma.objectives.objective import Objective
from croma.training.loop import StepReport

if TYPE_CHECKING:
    from croma.tracking.run import Run

log = logging.getLogger(__name__)

PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "A10": 125e12}
"""Dense bfloat16 operations a second of GPUs, by a word of their names; the vendor's figures."""


class Speed:
    """Watches how fast steps are."""

    def __init__(self, global_batch: int) -> None:
        self._global_batch = global_batch
        self._seconds: list[float] = []

    def after_step(self, report: StepReport, batch: Batch, objective: Objective) -> None:  # noqa: ARG002
        """See `Watcher`."""
        self._seconds.append(report.seconds)

    @property
    def samples_per_second(self) -> float:
        """Median over all steps watched; 0 before the first."""
        return self._global_batch / median(self._seconds) if self._seconds else 0.0


class Metrics:
    """Logs every step to the tracker; what a restarted run repeats is not logged twice."""

    def __init__(self, run: "Run", global_batch: int, world: int) -> None:
        self._run = run
        self._global_batch = global_batch
        self._world = world
        self._flops: float | None = None

    def after_step(self, report: StepReport, batch: Batch, objective: Objective) -> None:
        """See `Watcher`."""
        if self._flops is None:
            self._flops = flops_of_a_sample(objective, batch)
        rate = self._global_batch / report.seconds
        values = {f"train/{name}": value for name, value in report.parts.items()}
        values |= {
            "train/loss": report.loss,
            "train/learning_rate": report.rate,
            "train/grad_norm": report.grad_norm,
            "speed/samples_per_second": rate,
            "speed/waiting_for_data": report.waited / report.seconds,
            "memory/gigabytes": memory_used() / 1e9,
        }
        scale = getattr(objective, "log_scale", None)
        if scale is not None:
            values["train/temperature"] = float(torch.exp(-scale.detach()))
        values["speed/teraflops"] = rate * self._flops / 1e12
        peak = peak_flops(batch.radar.device)
        if peak is not None:
            values["speed/flops_utilisation"] = rate * self._flops / (peak * self._world)
        self._run.metrics(values, report.step)
        if report.saved:  # a run that goes on from there does not repeat these steps
            self._flush()

    def _flush(self) -> None:
        try:
            self._run.flush()
        except TransientError as error:
            log.warning("%s; what was measured is kept and sent later", error)


class Line(NamedTuple):
    """Where a run stands, for people."""

    step: int
    steps: int
    loss: float
    samples_per_second: float
    seconds_left: float
    waiting: float
    """Share of the step spent waiting for data."""
    checkpoint_time: float
    """Unix time of the newest checkpoint: what came after it is lost with the worker."""

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.seconds_left), 60)
        return (
            f"step {self.step}/{self.steps}  loss {self.loss:.4f}  {self.samples_per_second:,.1f} samples/s  "
            f"{minutes}:{seconds:02d} left"
        )


class Progressing:
    """Tells where the run stands, twice a second at most."""

    def __init__(
        self, tell: Callable[[Line], Any], steps: int, global_batch: int, checkpoint_time: Callable[[], float]
    ) -> None:
        self._tell = tell
        self._checkpoint_time = checkpoint_time
        self._steps = steps
        self._global_batch = global_batch
        self._last = 0.0
        self._pace: float | None = None

    def after_step(self, report: StepReport, batch: Batch, objective: Objective) -> None:  # noqa: ARG002
        """See `Watcher`."""
        self._pace = report.seconds if self._pace is None else 0.9 * self._pace + 0.1 * report.seconds
        now = time.monotonic()
        if now - self._last > 0.5 or report.step == self._steps:
            self._last = now
            left = (self._steps - report.step) * self._pace
            rate, waiting = self._global_batch / self._pace, report.waited / report.seconds
            self._tell(Line(report.step, self._steps, report.loss, rate, left, waiting, self._checkpoint_time()))


def flops_of_a_sample(objective: Any, batch: Batch) -> float:
    """Floating-point operations of one sample, forward and backward, counted on the first of `batch`."""
    from torch.utils.flop_counter import FlopCounterMode

    alone = Batch(batch.radar[:1], batch.optical[:1], batch.keys[:1])
    with FlopCounterMode(display=False) as counter:
        local = objective(alone)
        torch.stack([*local.terms.values(), *(rows.sum() for rows in local.features.values())]).sum().backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops())


def peak_flops(device: torch.device) -> float | None:
    """Operations a second that the device could do; None where that is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for word, peak in PEAKS.items() if word in name), None)


def memory_used() -> int:
    """Largest use so far, in bytes: of the GPU where there is one, else of the process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
