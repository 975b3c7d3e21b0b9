"""The training loop: batches in, steps, checkpoints and reports out. Knows no cluster, no tracker and no storage.

Law of exact resume: a step is a function of the weights, the optimiser's state and its number, so a run that is killed
anywhere and goes on from a checkpoint gives the trajectory of the run that was not.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Protocol

from torch import nn

from croma.batches.batch import Batch, RawBatch
from croma.errors import ContractError
from croma.objectives.objective import Objective
from croma.training.faults import describe, find_fault, find_suspects
from croma.training.feed import feed
from croma.training.schedule import Schedule
from croma.training.settings import AdamW, Faults, Precision, Sharding
from croma.training.step import Outcome, Requests, Stepper, cut

log = logging.getLogger(__name__)

KEPT = 100
"""Steps whose losses are remembered."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the loop is to do."""

    steps: int
    global_batch: int
    """Samples of a step, over all workers."""
    schedule: Schedule = field(default_factory=Schedule)
    optimiser: AdamW = field(default_factory=AdamW)
    faults: Faults = field(default_factory=Faults)
    precision: Precision = "float32"
    micro_batch: int | None = None
    """Samples that a worker passes at once; None for all of its share. Does not change the result."""
    checkpoint_every: int = 1000
    """Steps."""
    compiled: bool = False
    """Whether the passes go through torch.compile."""
    sharding: Sharding = "replicated"
    """How the network lies on the workers. Does not change the result."""
    shown_every: tuple[int, ...] = ()
    """After multiples of these steps, and after the first of a process, watchers pass batches through the objective."""


class StepReport(NamedTuple):
    """What happened in a step; the same on every worker but for the times."""

    step: int
    """Steps done, this one included."""
    loss: float
    parts: dict[str, float]
    """Terms of the loss by name, unweighted."""
    rate: float
    """Learning rate."""
    grad_norm: float
    """Before clipping."""
    seconds: float
    waited: float
    """Seconds of it without a batch to work on."""
    saved: bool
    """Whether a checkpoint of it follows."""


class Watcher(Protocol):
    """Somebody who is told of every step."""

    def after_step(self, report: StepReport, batch: Batch, objective: Objective) -> None:
        """Called after the update; `batch` is this worker's share of the step.

        Nothing may be passed through `objective` but after a process's first step and those of `Plan.shown_every`.
        """
        ...


class Checkpoints(Protocol):
    """Keeps states. Every worker calls every method."""

    def newest(self) -> dict[str, Any] | None:
        """The state that was saved last and is whole; None where there is none."""
        ...

    def save(self, step: int, state: dict[str, Any], loss: float | None) -> None:
        """Begin to save; `state` may change once this returns. Raises what went wrong with the save before."""
        ...

    def wait(self) -> None:
        """Return when everything is saved."""
        ...


@dataclass(kw_only=True)
class Progress:
    """How far a run is; part of every checkpoint."""

    step: int = 0
    """Steps done."""
    left_out: list[int] = field(default_factory=list)
    """Numbers of steps, counted from 0, whose batches were skipped after a fault."""
    recent: list[dict[str, float]] = field(default_factory=list)
    """`loss` and its terms in the last steps, oldest first."""
    seconds: float = 0.0
    """Spent in steps."""


def train(
    objective: nn.Module,
    batches: Callable[[int, int], Iterator[RawBatch]],
    images: Callable[[RawBatch], Batch],
    plan: Plan,
    *,
    checkpoints: Checkpoints | None = None,
    watchers: Sequence[Watcher] = (),
    requests: Callable[[], Requests] = Requests,
) -> Progress:
    """Train until `plan.steps` are done or a worker is asked to stop; begins where the newest checkpoint ends.

    Args:
        objective: an `Objective`, on the device to train on; the same on every worker. Changed in place.
        batches: this worker's share of the batches of steps `start` to `stop` - 1.
        images: what becomes of a batch on the device.
        plan: what to do.
        checkpoints: where states are kept; None keeps none.
        watchers: told of every step.
        requests: asked at every step; what any worker is asked for all of them do, at the same step.

    Raises:
        ContractError: a loss or gradient was not finite, or jumped, with the chips named.
    """
    return _Loop(objective, images, plan, checkpoints, watchers, requests).run(batches)


class _Loop:
    def __init__(
        self,
        objective: nn.Module,
        images: Callable[[RawBatch], Batch],
        plan: Plan,
        checkpoints: Checkpoints | None,
        watchers: Sequence[Watcher],
        requests: Callable[[], Requests],
    ) -> None:
        self.objective: Any = objective
        self.images = images
        self.plan = plan
        self.checkpoints = checkpoints
        self.watchers = watchers
        self.requests = requests
        self.device = next(objective.parameters()).device
        self.stepper = Stepper(objective, plan.optimiser, plan.precision, plan.compiled, plan.sharding)
        self.network: Any = self.stepper.objective
        self.progress = Progress()
        self.first = True
        self.unsaved: list[float] = []

    def run(self, batches: Callable[[int, int], Iterator[RawBatch]]) -> Progress:
        self._restore()
        if self.progress.step == 0 and self.plan.faults.action == "rewind":
            self._save()  # something to go back to
        done = False
        while not done:
            done = self._advance(feed(batches(self.progress.step, self.plan.steps), self.device))
        if self.checkpoints is not None:
            self.checkpoints.wait()
        with self.stepper.spread.whole():  # leaves the objective with what was learnt
            return self.progress

    def _advance(self, batches: Iterator[RawBatch]) -> bool:
        """Steps until the end, a request to stop (True), or a rewind (False)."""
        began = time.perf_counter()
        for raw in batches:
            waited = time.perf_counter() - began
            if self.progress.step in self.progress.left_out:
                self.progress.step += 1
                continue
            batch = self.images(raw)
            pieces = cut(batch, self.plan.micro_batch)
            outcome = self.stepper.gradient(pieces, self.plan.global_batch, self.requests())
            fault = find_fault(outcome.loss, outcome.grad_norm, self._recent_losses(), self.plan.faults)
            if fault is not None:
                self._rewind(fault, batch)
                return False
            saved = any(outcome.requests) or self._due(self.progress.step + 1)
            self._update(outcome, batch, began, waited, saved)
            if saved:
                self._save()
            if outcome.requests.stop:
                log.warning("asked to stop: saved after step %d of %d", self.progress.step, self.plan.steps)
                return True
            began = time.perf_counter()
        return True

    def _update(self, outcome: Outcome, batch: Batch, began: float, waited: float, saved: bool) -> None:
        progress, plan = self.progress, self.plan
        rate = plan.schedule.rate(progress.step, plan.steps)
        self.stepper.update(rate, outcome.grad_norm)
        self.network.update(progress.step, plan.steps)
        progress.step += 1
        progress.recent = [*progress.recent, {"loss": outcome.loss, **outcome.parts}][-max(plan.faults.memory, KEPT) :]
        progress.seconds += time.perf_counter() - began
        self.unsaved.append(outcome.loss)
        report = StepReport(
            step=progress.step,
            loss=outcome.loss,
            parts=outcome.parts,
            rate=rate,
            grad_norm=outcome.grad_norm,
            seconds=time.perf_counter() - began,
            waited=waited,
            saved=saved,
        )
        with self._shown() as objective:
            for watcher in self.watchers:
                watcher.after_step(report, batch, objective)

    def _shown(self) -> AbstractContextManager[Any]:
        """The objective as watchers see it: whole where they may want to pass something through it."""
        first, self.first = self.first, False
        shown = first or any(self.progress.step % every == 0 for every in self.plan.shown_every)
        return self.stepper.spread.whole() if shown else nullcontext(self.network)

    def _recent_losses(self) -> list[float]:
        return [losses["loss"] for losses in self.progress.recent]

    def _due(self, step: int) -> bool:
        return step % self.plan.checkpoint_every == 0 or step == self.plan.steps

    def _rewind(self, fault: str, batch: Batch) -> None:
        """Go back to the newest checkpoint and leave this batch out from then on.

        Raises:
            ContractError: the settings say stop, it happened too often, or there is nothing to go back to.
        """
        step, faults = self.progress.step, self.plan.faults
        with self.stepper.spread.whole(), self.stepper.autocast():
            suspects = describe(find_suspects(self.objective, batch))
        message = f"step {step}: {fault}; {suspects}"
        left_out = [*self.progress.left_out, step]
        if faults.action == "stop":
            raise ContractError(
                f"{message}. Look at these chips, lower the learning rate, or set faults.action: rewind"
            )
        if self.checkpoints is None or len(left_out) > faults.rewinds:
            raise ContractError(f"{message}. {len(left_out) - 1} batches were left out before, so this is the end")
        self.checkpoints.wait()
        self._restore()
        self.progress.left_out = left_out
        log.warning("%s. Going back to step %d; this batch is left out", message, self.progress.step)

    def _save(self) -> None:
        if self.checkpoints is not None:
            loss = sum(self.unsaved) / len(self.unsaved) if self.unsaved else None
            self.checkpoints.save(self.progress.step, self._state(), loss)
            self.unsaved = []

    def _state(self) -> dict[str, Any]:
        return {**self.stepper.spread.state(self.stepper.optimiser), "progress": asdict(self.progress)}

    def _restore(self) -> None:
        state = self.checkpoints.newest() if self.checkpoints is not None else None
        if state is not None:
            self.stepper.spread.load(state, self.stepper.optimiser)
            self.progress = Progress(**state["progress"])
            self.unsaved = []
            log.info("going on after step %d", self.progress.step)
