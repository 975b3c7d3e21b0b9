"""A comparison: several ways to pretrain, on one dataset version, judged alike."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from croma.document import Document, problems
from croma.evaluation.scores import Margin, Score, Scorecard
from croma.evaluation.spec import EvalSpec
from croma.objectives.spec import ObjectiveSpec
from croma.recipes.recipe import load
from croma.shards.ref import DatasetRef
from croma.training.schedule import Schedule
from croma.training.spec import Objective, TrainResult, TrainSpec

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
Budget = Literal["samples", "compute"]
"""`samples`: every method sees as many. `compute`: every method does as many floating-point operations."""


class Rival(Document):
    """A method that is compared; what it does not say is as in `pretrain`."""

    objective: Objective
    schedule: Schedule | None = None
    """Its own learning rate; warm-up in steps of `pretrain`, and scaled with the steps."""


class Comparison(Document):
    """Methods to be pretrained on one dataset version and judged by one suite."""

    name: Name
    """Names the experiment in MLflow."""
    dataset: Name
    """A dataset that has been built: `croma build`, or `croma demo`."""
    reference: Name
    """Of the method in `pretrain`: what the others are compared with, pair by pair on the same ground."""
    pretrain: TrainSpec
    """The method of reference. Steps, batch, order and crops are those of all; its samples and its floating-point
    operations are the budget."""
    against: dict[Name, Rival] = Field(min_length=1)
    budgets: tuple[Budget, ...] = Field(("samples", "compute"), min_length=1)
    evaluate: EvalSpec

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.reference in self.against:
            raise ValueError(f"against names {self.reference}, which is the reference: call one of them otherwise")
        if "champion" in self.evaluate.baselines:
            raise ValueError("evaluate.baselines name champion: here that is the reference; leave it out")
        for method in self.against:
            try:
                self.training(method)
            except ValidationError as error:
                raise ValueError("; ".join(f"against.{method}: {line}" for line in problems(error))) from None
        return self

    @property
    def objectives(self) -> dict[str, ObjectiveSpec]:
        """By method, the reference first."""
        return {
            self.reference: self.pretrain.objective,
            **{name: each.objective for name, each in self.against.items()},
        }

    @property
    def judgement(self) -> EvalSpec:
        """How all are judged: as `evaluate` says, and beside the reference."""
        return self.evaluate.model_copy(update={"baselines": (*self.evaluate.baselines, "champion")})

    def training(self, method: str, share: float = 1.0) -> TrainSpec:
        """How a method is pretrained, in `share` times the steps of the reference; its warm-up shrinks with them."""
        if method == self.reference:
            return self.pretrain
        rival = self.against[method]
        schedule, steps = rival.schedule or self.pretrain.schedule, max(1, round(self.pretrain.steps * share))
        return TrainSpec.model_validate(
            self.pretrain.model_dump(exclude={"objective", "steps", "schedule"})
            | {
                "objective": rival.objective,
                "steps": steps,
                "schedule": replace(schedule, warmup=min(round(schedule.warmup * share), steps - 1)),
            }
        )

    def plan(self, flops: Mapping[str, float]) -> list[tuple[Budget, str, TrainSpec]]:
        """Every pretraining by budget and method, the reference first; `flops` of one sample by method."""
        return [
            (budget, method, self.training(method, flops[self.reference] / flops[method] if budget == "compute" else 1))
            for budget in self.budgets
            for method in self.objectives
        ]


class Entry(Document):
    """What came of a method within a budget."""

    budget: Budget
    method: str
    flops: float
    """Of a sample, forward and backward."""
    samples: int
    """Seen."""
    training: TrainResult
    scorecard: Scorecard
    """Its baseline `champion` is the reference."""

    @property
    def petaflops(self) -> float:
        """10¹⁵ floating-point operations of the whole pretraining."""
        return self.flops * self.samples / 1e15

    @property
    def headlines(self) -> list[Score]:
        """The first metric of every probe and modality of the trained encoder."""
        mine = [score for score in self.scorecard.scores if score.encoder == "trained"]
        return list({(score.protocol, score.modality): score for score in reversed(mine)}.values())[::-1]

    def margin(self, score: Score, baseline: Literal["champion", "untrained"]) -> Margin | None:
        """How far a score of the trained encoder lies above a baseline."""
        found = (m for m in self.scorecard.margins if m.key == score.key and m.baseline == baseline)
        return next(found, None)


class Compared(Document):
    """A comparison that has been made."""

    name: str
    dataset: DatasetRef
    reference: str
    entries: tuple[Entry, ...]
    review: str
    """Id of the MLflow run with the page."""


def load_comparison(name: str) -> Comparison:
    """The comparison at a path, or one that comes with the package by its name; see `load_recipe`."""
    return load(Comparison, name, "compare")
