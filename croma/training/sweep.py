"""One pretraining with several learning rates: a run in the tracker, and one below it for each. Needs no torch."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from croma.document import Document, digest
from croma.errors import ContractError
from croma.shards.ref import DatasetRef
from croma.training.spec import TrainResult, TrainSpec

if TYPE_CHECKING:
    from croma.tracking.run import Run
    from croma.tracking.tracker import Tracker

log = logging.getLogger(__name__)

TAG = "croma.sweep"
"""Tag of the MLflow run above the trials: a fingerprint of what is tried."""


def _apart(rates: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(rates)) < len(rates):
        raise ValueError("rates must be different")
    return tuple(sorted(rates))


Rates = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=2), AfterValidator(_apart)]
"""Peaks of the learning rate, ascending."""

Train = Callable[[TrainSpec, str | None], TrainResult]
"""Trains a spec below the MLflow run of this id."""


class Trial(Document):
    """What came of one learning rate."""

    rate: float
    run: str | None
    """Of the training; None where there is no result."""
    loss: float | None
    """Mean over the last steps, see `Trained.losses`."""
    samples_per_second: float | None
    problem: str = ""
    """Why there is no result: the training ended with this sentence."""


class SweepResult(Document):
    """What a sweep has found."""

    trials: tuple[Trial, ...]
    tracking: str | None
    """Id of the run above the trials in MLflow."""

    @property
    def best(self) -> Trial | None:
        """The trial with the lowest loss; None where none came to its end."""
        done = [trial for trial in self.trials if trial.loss is not None]
        return min(done, key=lambda trial: trial.loss or math.inf, default=None)


def shortened(spec: TrainSpec, steps: int | None) -> TrainSpec:
    """The same pretraining in `steps` steps; its warm-up keeps its share of them. As it is for None."""
    if steps is None:
        return spec
    fields = spec.model_dump()
    fields["schedule"]["warmup"] = min(round(spec.schedule.warmup * steps / spec.steps), steps - 1)
    return TrainSpec.parse({**fields, "steps": steps}, "sweep")


def with_rate(spec: TrainSpec, rate: float) -> TrainSpec:
    """The same pretraining with another peak of the learning rate."""
    fields = spec.model_dump()
    fields["schedule"]["lr"] = rate
    return TrainSpec.parse(fields, "sweep")


def sweep(
    name: str, spec: TrainSpec, rates: Sequence[float], dataset: DatasetRef, train: Train, tracker: "Tracker | None"
) -> SweepResult:
    """Train `spec` with each of `rates`, one after the other. Begun again, it goes on where it was.

    A trial whose numbers break (`ContractError`: a loss that is not finite) is part of the answer; other errors pass.

    Args:
        name: of the experiment.
        spec: what all trials have in common.
        rates: peaks of the learning rate.
        dataset: what to learn from, with its version.
        train: trains one of them; a finished one is found, not repeated.
        tracker: where to log; None logs nothing.
    """
    with _above(name, spec, rates, dataset, tracker) as above:
        parent = above.id if above else None
        trials = tuple(_try(with_rate(spec, rate), train, parent) for rate in rates)
        result = SweepResult(trials=trials, tracking=parent)
        if above:
            _write_down(above, result)
    return result


def _try(spec: TrainSpec, train: Train, parent: str | None) -> Trial:
    rate = spec.schedule.lr
    try:
        result = train(spec, parent)
    except ContractError as error:
        log.warning("learning rate %g: %s", rate, error)
        return Trial(rate=rate, run=None, loss=None, samples_per_second=None, problem=str(error))
    trained = result.trained
    return Trial(rate=rate, run=result.run, loss=trained.losses["loss"], samples_per_second=trained.samples_per_second)


@contextmanager
def _above(
    name: str, spec: TrainSpec, rates: Sequence[float], dataset: DatasetRef, tracker: "Tracker | None"
) -> Iterator["Run | None"]:
    """The MLflow run above the trials, the same one however often the sweep is begun."""
    if tracker is None:
        yield None
        return
    # MLflow takes a second to import, and not everybody tracks.
    from croma.tracking.records import read_runs
    from croma.tracking.run import open_run

    mark = digest([spec.model_dump(mode="json", exclude={"resources"}), list(rates), str(dataset)])
    known = read_runs(tracker, name, {TAG: mark})
    tags = {TAG: mark, "croma.kind": "sweep"}
    with open_run(tracker, name, f"sweep-{mark}", tags=tags, run_id=known[0].id if known else None) as run:
        run.params({"rates": list(rates), "steps": spec.steps, "dataset": str(dataset)})
        yield run


def _write_down(run: "Run", result: SweepResult) -> None:
    columns = ("rate", "loss", "samples_per_second", "run", "problem")
    run.table("sweep.json", {name: [getattr(trial, name) for trial in result.trials] for name in columns})
    if result.best is not None and result.best.loss is not None:
        run.metrics({"sweep/best_rate": result.best.rate, "sweep/best_loss": result.best.loss}, 0)
