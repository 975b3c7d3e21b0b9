"""What an evaluation says: scores with their uncertainty, and where they come from."""

from collections.abc import Iterable
from typing import Literal

from croma.document import Document
from croma.sensors import Modality

Baseline = Literal["untrained", "band-statistics", "champion"]
EncoderName = Literal["trained", "untrained", "band-statistics", "champion"]

Pooling = Literal["head", "mean"]


class Score(Document):
    """One number."""

    encoder: EncoderName
    protocol: str
    modality: Modality
    metric: str
    """top1, macro-f1, balanced-accuracy, map-micro, miou, recall-at-1 …: all lie in [0, 1], more is better."""
    value: float
    """Mean over seeds."""
    low: float | None
    """Ends of the bootstrap interval over blocks of ground; None when all chips lie in one block."""
    high: float | None
    n: int
    """Chips scored."""
    note: str = ""
    """What the selection split chose: `C=0.1`."""

    @property
    def key(self) -> str:
        """`protocol/modality/metric`."""
        return f"{self.protocol}/{self.modality}/{self.metric}"


class Margin(Document):
    """How much better the trained encoder is than a baseline, block by block on the same ground."""

    baseline: Baseline
    protocol: str
    modality: Modality
    metric: str
    value: float
    low: float | None
    high: float | None

    @property
    def key(self) -> str:
        """`protocol/modality/metric`."""
        return f"{self.protocol}/{self.modality}/{self.metric}"


class Condition(Document):
    """One thing that was asked of the trained encoder, and how it came out."""

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


class ClassScore(Document):
    """How well one class is told."""

    encoder: EncoderName
    protocol: str
    modality: Modality
    label: str
    """Name of the class."""
    value: float
    """F1 of chips, or IoU of pixels for segmentation."""


class Provenance(Document):
    """What was evaluated, on what, by which code."""

    weights: str
    """Fingerprint of the weights."""
    step: int
    """Training step of the weights; 0 when unknown."""
    dataset: str
    """`address@version`."""
    evaluation: str
    """Fingerprint of the evaluation recipe."""
    normalisation: dict[str, tuple[float, ...]]
    """Means and standard deviations by band: those of the weights, or what pixels that are normalised already need."""
    code: str


class Scorecard(Document):
    """The result of an evaluation."""

    provenance: Provenance
    classes: tuple[str, ...]
    """In the order of the label codes."""
    chips: dict[str, int]
    """Labelled chips used, by split."""
    exclusions: dict[str, int]
    """Chips left out, by split and reason: `test/no dominant class`."""
    scores: tuple[Score, ...]
    margins: tuple[Margin, ...]
    by_class: tuple[ClassScore, ...]
    verdict: Verdict

    def find(self, key: str, encoder: EncoderName = "trained") -> Score | None:
        """The score of `protocol/modality/metric`, if it was measured."""
        return find_score(self.scores, key, encoder)


def find_score(scores: Iterable[Score], key: str, encoder: EncoderName = "trained") -> Score | None:
    """The score of an encoder at `protocol/modality/metric`; None where it was not measured."""
    return next((score for score in scores if score.key == key and score.encoder == encoder), None)


def find_margin(margins: Iterable[Margin], key: str, baseline: Baseline) -> Margin | None:
    """The margin over a baseline at `protocol/modality/metric`; None where it was not measured."""
    return next((margin for margin in margins if margin.key == key and margin.baseline == baseline), None)
