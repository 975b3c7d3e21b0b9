"""The gate: what a model must reach to be released. It reads scores alone, so a verdict can be passed again later."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from croma.document import Document
from croma.evaluation.scores import Baseline, Margin, Score, Scorecard

Key = Annotated[str, Field(pattern=r"^[a-z0-9-]+/(radar|optical|joint)/[a-z0-9-]+$")]
"""`protocol/modality/metric`."""
Confidence = Literal["interval", "value"]


class Gate(Document):
    """Conditions, all of which a model must meet."""

    floors: dict[Key, float] = Field(default_factory=dict)
    """Least value of the trained encoder, by score."""
    beats: tuple[Baseline, ...] = ("untrained",)
    """Encoders that the trained one must be better than, on every score named in `on`."""
    on: tuple[Key, ...] = ("linear/joint/top1",)
    """Where it must be better."""
    by: Confidence = "interval"
    """`interval`: the whole confidence interval of the difference lies above 0. `value`: the difference itself does."""


class Condition(Document):
    """One thing that was asked, and how it came out."""

    asked: str
    found: str
    met: bool


class Verdict(Document):
    """The outcome of a gate, with the reason for each part."""

    passed: bool
    conditions: tuple[Condition, ...]

    @property
    def failures(self) -> tuple[Condition, ...]:
        """What was asked and not met."""
        return tuple(condition for condition in self.conditions if not condition.met)


def judge(gate: Gate, card: Scorecard) -> Verdict:
    """Whether the scores of `card` open `gate`. A score that was asked for and is not there counts as not met."""
    conditions = [*_floors(gate, card), *_margins(gate, card)]
    return Verdict(passed=all(condition.met for condition in conditions), conditions=tuple(conditions))


def _floors(gate: Gate, card: Scorecard) -> Iterable[Condition]:
    for key, least in sorted(gate.floors.items()):
        score = card.find(key)
        met = score is not None and (_lowest(score) if gate.by == "interval" else score.value) >= least
        yield Condition(asked=f"{key} at least {least:g}", found=_shown(score), met=met)


def _margins(gate: Gate, card: Scorecard) -> Iterable[Condition]:
    for baseline in gate.beats:
        for key in gate.on:
            margin = card.margin(key, baseline)
            met = margin is not None and (_lowest(margin) if gate.by == "interval" else margin.value) > 0
            yield Condition(asked=f"{key} above {baseline}", found=_shown(margin), met=met)


def _lowest(score: Score | Margin) -> float:
    """The lower end of the interval; the value itself where a single block gave no interval."""
    return score.value if score.low is None else score.low


def _shown(score: Score | Margin | None) -> str:
    if score is None:
        return "not measured"
    sign = "+" if isinstance(score, Margin) else ""
    bounds = "" if score.low is None or score.high is None else f" [{score.low:{sign}.3f}, {score.high:{sign}.3f}]"
    return f"{score.value:{sign}.3f}{bounds}"
