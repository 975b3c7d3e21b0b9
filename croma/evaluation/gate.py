"""The gate: what a model must reach to be released. It reads scores alone, so a verdict can be passed again later."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from croma.document import Document
from croma.evaluation.scores import Baseline, Condition, Margin, Score, Verdict, find_margin, find_score

Key = Annotated[str, Field(pattern=r"^[a-z0-9-]+/(radar|optical|joint)/[a-z0-9-]+$")]
"""`protocol/modality/metric`."""
Confidence = Literal["interval", "value"]


class Gate(Document):
    """Conditions, all of which a model must meet."""

    floors: dict[Key, float] = Field(default_factory=dict)
    """Least value of the trained encoder, by score."""
    beats: tuple[Baseline, ...] = ("untrained",)
    """Encoders that the trained one must be better than, on every score named in `on`. Of a `champion` nothing is asked
    as long as there is none."""
    on: tuple[Key, ...] = ("linear/joint/top1",)
    """Where it must be better."""
    by: Confidence = "interval"
    """`interval`: the whole confidence interval of the difference lies above 0. `value`: the difference itself does."""


def judge(gate: Gate, scores: Sequence[Score], margins: Sequence[Margin]) -> Verdict:
    """Whether what was measured opens `gate`. What was asked for and not measured counts as not met."""
    measured = {score.encoder for score in scores}
    beats = [baseline for baseline in gate.beats if baseline != "champion" or baseline in measured]
    conditions = (*_floors(gate, scores), *_margins(gate, margins, beats))
    return Verdict(passed=all(condition.met for condition in conditions), conditions=conditions)


def _floors(gate: Gate, scores: Sequence[Score]) -> Iterator[Condition]:
    for key, least in sorted(gate.floors.items()):
        score = find_score(scores, key)
        met = score is not None and _certain(gate, score) >= least
        yield Condition(asked=f"{key} at least {least:g}", found=_shown(score), met=met)


def _margins(gate: Gate, margins: Sequence[Margin], beats: Sequence[Baseline]) -> Iterator[Condition]:
    for baseline in beats:
        for key in gate.on:
            margin = find_margin(margins, key, baseline)
            met = margin is not None and _certain(gate, margin) > 0
            yield Condition(asked=f"{key} above {baseline}", found=_shown(margin), met=met)


def _certain(gate: Gate, number: Score | Margin) -> float:
    """What the gate compares: the lower end of the interval, or the value, also where one block gave no interval."""
    return number.value if gate.by == "value" or number.low is None else number.low


def _shown(score: Score | Margin | None) -> str:
    if score is None:
        return "not measured"
    sign = "+" if isinstance(score, Margin) else ""
    bounds = "" if score.low is None or score.high is None else f" [{score.low:{sign}.3f}, {score.high:{sign}.3f}]"
    return f"{score.value:{sign}.3f}{bounds}"
