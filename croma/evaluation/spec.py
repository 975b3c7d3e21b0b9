"""How weights are to be judged: the `evaluate` part of a recipe. Needs no torch."""

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from croma.chip import Split
from croma.document import Document
from croma.evaluation.gate import Gate
from croma.evaluation.scores import Baseline, Pooling, Variant
from croma.evaluation.suite_files import fill_in, read_suite
from croma.sensors import MODALITIES, Modality

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
LabelShare = Annotated[float, Field(gt=0, le=1)]
Ascending = Annotated[tuple[Positive, ...], Field(min_length=1), AfterValidator(lambda values: tuple(sorted(values)))]
HeadKind = Literal["linear", "decoder"]
ProtocolName = Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=40)]


class Knn(Document):
    """k nearest neighbours by cosine similarity, votes weighted by exp(similarity / temperature), as DINO does it."""

    kind: Literal["knn"] = "knn"
    name: ProtocolName = "knn"
    share: LabelShare = 1.0
    """As of `linear`."""
    k: int = Field(20, ge=1)
    temperature: Positive = 0.07


class Linear(Document):
    """Logistic regression on frozen, standardised features; its L2 penalty is chosen on the selection split."""

    kind: Literal["linear"] = "linear"
    name: ProtocolName = "linear"
    share: LabelShare = 1.0
    """Of the labels to learn from, at least one of every class. Every one of `seeds` draws its own."""
    inverse_penalties: tuple[Positive, ...] = Field((1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0), min_length=1)
    """scikit-learn's C. All are solved together."""


class Mlp(Document):
    """One hidden layer on frozen, standardised features; its rate and epoch are chosen on the selection split."""

    kind: Literal["mlp"] = "mlp"
    name: ProtocolName = "mlp"
    share: LabelShare = 1.0
    """As of `linear`."""
    hidden: int = Field(2048, ge=1)
    learning_rates: tuple[Positive, ...] = Field((1e-4, 3e-4, 1e-3), min_length=1)
    weight_decay: float = Field(0.01, ge=0)
    epochs: int = Field(30, ge=1)
    batch: int = Field(256, ge=1)


class KMeans(Document):
    """k-means with as many clusters as classes, matched to them one to one on the fit split."""

    kind: Literal["kmeans"] = "kmeans"
    name: ProtocolName = "kmeans"
    starts: int = Field(10, ge=1)
    """Initialisations; the one with the tightest clusters is kept."""


class Sparse(Document):
    """How much a few dimensions know: one yes-or-no regression a class on the k dimensions that separate it best."""

    kind: Literal["sparse"] = "sparse"
    name: ProtocolName = "sparse"
    dimensions: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 4, 16), min_length=1)
    inverse_penalty: Positive = 1.0


class Retrieval(Document):
    """Radar finds the optical image of its own ground among all scored chips (`radar`), and back (`optical`)."""

    kind: Literal["retrieval"] = "retrieval"
    name: ProtocolName = "retrieval"
    recall_at: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 5), min_length=1)
    penalties: tuple[Positive, ...] = Field((0.01, 0.1, 1.0, 10.0), min_length=1)
    """Of the ridge regression from one sensor's embeddings to the other's."""


class Segmentation(Document):
    """Land cover pixel by pixel from frozen patch encodings, by a light head."""

    kind: Literal["segmentation"] = "segmentation"
    name: ProtocolName = "segmentation"
    head: HeadKind = "linear"
    """`linear`: one matrix from a patch's encoding to its pixels, solved to its optimum. `decoder`: convolutions that
    upsample patches, trained."""
    inverse_penalties: Ascending = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Of the linear head: scikit-learn's C."""
    told: tuple[Annotated[int, Field(ge=1, le=255)], ...] = ()
    """Codes of classes that are told from the rest, as water is from land: [80] of WorldCover. Empty: every class."""
    shares: tuple[LabelShare, ...] = Field((1.0,), min_length=1)
    """Of the chips to learn from, at least one of every class; every one of `seeds` draws its own. With any but (1.0,),
    metrics end in the percentage: `miou-at-10`."""
    chips: int = Field(500, ge=1)
    """At most this many of each split: patch encodings are large."""
    learning_rates: tuple[Positive, ...] = Field((1e-3, 3e-3), min_length=1)
    """This and what follows: of the decoder."""
    weight_decay: float = Field(0.01, ge=0)
    epochs: int = Field(30, ge=1)
    batch: int = Field(16, ge=1)


class FineTune(Document):
    """The whole network, trained further with a linear head on all labels or a few; not for band statistics."""

    kind: Literal["finetune"] = "finetune"
    name: ProtocolName = "finetune"
    shares: tuple[LabelShare, ...] = Field((0.01, 0.1, 1.0), min_length=1)
    """Of the labelled chips of every class, at least one each; every one of `seeds` draws its own."""
    learning_rates: tuple[Positive, ...] = Field((1e-4, 3e-4), min_length=1)
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 0.75
    """Each block learns at this times the rate of the block above it."""
    epochs: int = Field(20, ge=1)
    batch: int = Field(32, ge=1)


class FineTuneSegmentation(Document):
    """The whole network, trained further with a head for pixels on all labels or a few; not for band statistics."""

    kind: Literal["finetune-segmentation"] = "finetune-segmentation"
    name: ProtocolName = "finetune-segmentation"
    head: HeadKind = "decoder"
    """As of `segmentation`."""
    told: tuple[Annotated[int, Field(ge=1, le=255)], ...] = ()
    """As of `segmentation`."""
    shares: tuple[LabelShare, ...] = Field((0.01, 0.1, 1.0), min_length=1)
    """Of the labelled chips of the fit split, at least one of every class; every one of `seeds` draws its own."""
    chips: int = Field(500, ge=1)
    """At most this many of the selection and of the score split, as for `segmentation`."""
    learning_rates: tuple[Positive, ...] = Field((1e-4, 3e-4), min_length=1)
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 0.75
    """Each block learns at this times the rate of the block above it."""
    epochs: int = Field(20, ge=1)
    batch: int = Field(16, ge=1)


class Change(Document):
    """Which pixels changed between two dates of a place: a light head on how far its frozen patch encodings moved."""

    kind: Literal["change"] = "change"
    name: ProtocolName = "change"
    head: HeadKind = "linear"
    """As of `segmentation`."""
    inverse_penalties: Ascending = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Of the linear head: scikit-learn's C."""
    shares: tuple[LabelShare, ...] = Field((1.0,), min_length=1)
    """Of the pairs of the fit split."""
    pairs: int = Field(500, ge=1)
    """At most this many of each split: patch encodings are large."""
    learning_rates: tuple[Positive, ...] = Field((1e-3, 3e-3), min_length=1)
    """This and what follows: of the decoder."""
    weight_decay: float = Field(0.01, ge=0)
    epochs: int = Field(30, ge=1)
    batch: int = Field(16, ge=1)


class Extrapolation(Document):
    """Segmentation at image sizes that pretraining did not see, with a head fitted at the size that it did."""

    kind: Literal["extrapolation"] = "extrapolation"
    name: ProtocolName = "extrapolation"
    sizes: tuple[Annotated[int, Field(gt=0, multiple_of=8)], ...] = Field((96, 120, 168, 240, 336, 504), min_length=1)
    """Pixels along a side; those beyond the dataset's chips are left out."""
    segmentation: Segmentation = Field(default_factory=Segmentation)
    """The head and how it is fitted."""


Protocol = Annotated[
    Knn
    | Linear
    | Mlp
    | KMeans
    | Sparse
    | Retrieval
    | Segmentation
    | FineTune
    | FineTuneSegmentation
    | Change
    | Extrapolation,
    Field(discriminator="kind"),
]
"""Any of them; see `croma.evaluation.protocols`."""

_ONE_LABEL = ("kmeans",)
"""Protocols that say one class of a chip."""

OF_PIXELS = ("segmentation", "finetune-segmentation", "extrapolation", "change")
"""Protocols that say the class of every pixel."""


class DominantClass(Document):
    """One label a chip: the land cover of most of its labelled pixels."""

    kind: Literal["dominant"] = "dominant"
    min_share: Share = 0.5
    """Chips whose commonest class covers less of the labelled pixels are left out, and counted."""


class PresentClasses(Document):
    """Several labels a chip: every land cover with a noticeable share."""

    kind: Literal["present"] = "present"
    min_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Of the labelled pixels."""


class PixelClasses(Document):
    """The label of every pixel: all chips with a labelled pixel take part, whatever covers most of them."""

    kind: Literal["pixels"] = "pixels"


Target = Annotated[DominantClass | PresentClasses | PixelClasses, Field(discriminator="kind")]


class Bootstrap(Document):
    """Uncertainty: blocks of ground are drawn with replacement, since neighbouring chips are not independent."""

    draws: int = Field(1000, ge=20)
    block_km: Positive = 12.0
    """Side of a block. Like the blocks of the split rule, or larger."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    seed: int = 0


class Splits(Document):
    """Which chips a probe is fitted on, which choose its settings, which are scored. Never the same twice."""

    fit: Split = "train"
    select: Split = "val"
    score: Split = "test"

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if len({self.fit, self.select, self.score}) < 3:
            raise ValueError("fit, select and score must be three different splits")
        return self


class EvalSpec(Document):
    """An evaluation. Says what, never where."""

    protocols: tuple[Protocol, ...] = (Knn(), Linear())
    modalities: tuple[Modality, ...] = MODALITIES
    baselines: tuple[Baseline, ...] = ("untrained", "band-statistics")
    """Encoders judged beside the trained one: the same network as it was initialised, no network at all, and
    (`champion`) the registered model that holds the alias now, where there is one."""
    target: Target = Field(default_factory=DominantClass)
    splits: Splits = Field(default_factory=Splits)
    max_nodata: Share = 0.5
    """Chips that lack more than this share of a sensor that `modalities` need are left out, and counted."""
    chips: int | None = Field(None, ge=1)
    """At most this many chips of each split, drawn by the hash of their ids; None takes all."""
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Of the probes that draw at random; scores are means over them."""
    bootstrap: Bootstrap = Field(default_factory=Bootstrap)
    precision: Literal["float32", "bfloat16"] = "float32"
    """In which the encoder runs."""
    image: int | None = Field(None, ge=8)
    """Pixels along a side of what networks look at, the middle of each chip: a multiple of their patch, of any size.
    Unset: as many as in pretraining."""
    pooling: Pooling = "head"
    """How a network makes one vector of an image. `head`: what its contrastive term sees, as CROMA publishes it.
    `mean`: the mean of the patch encodings, which keeps what the contrast has thrown away."""
    normalisation: Variant = "own"
    """How pixels are scaled. `own`: as the weights say. CROMA's released files do not say: `readme`, `paper` and
    `torchgeo` are the three ways in print. A model that is judged by one of these is not registered."""
    batch: int = Field(64, ge=1)
    """Chips encoded at once."""
    gallery: int = Field(6, ge=1)
    """Chips shown in the pictures."""
    gate: Gate = Field(default_factory=Gate)
    licence: str = "Apache-2.0"
    """Of the weights, written into the registered model."""
    releases: bool = True
    """Whether a model is logged, and registered when the gate opens; without, scores and pictures alone are."""

    @model_validator(mode="before")
    @classmethod
    def _suite(cls, content: Any) -> Any:
        """`suite: quick` stands for what the suite says."""
        return fill_in(content) if isinstance(content, dict) and "suite" in content else content

    def with_suite(self, name: str) -> Self:
        """The same recipe with the protocols of a suite.

        Protocols that say one class of a chip are left out where a chip may have several.

        Raises:
            InputError: there is no such suite, or it is wrong: every problem with its path.
        """
        content = {**self.model_dump(mode="json"), **read_suite(name)}
        if self.target.kind == "present":
            content["protocols"] = [each for each in content["protocols"] if each.get("kind") not in _ONE_LABEL]
        return self.parse(content, f"suite {name}")

    @property
    def embedded(self) -> tuple[Modality, ...]:
        """The modalities whose embeddings are needed: those asked for, and both sensors for retrieval."""
        pair = any(protocol.kind == "retrieval" for protocol in self.protocols)
        return tuple(each for each in MODALITIES if each in self.modalities or (pair and each != "joint"))

    @property
    def needs_labels(self) -> bool:
        """Whether any protocol does."""
        return any(protocol.kind != "retrieval" for protocol in self.protocols)

    @model_validator(mode="after")
    def _protocols_can_be_told_apart_and_carried_out(self) -> Self:
        doubled = [name for name, count in Counter(protocol.name for protocol in self.protocols).items() if count > 1]
        if doubled:
            raise ValueError(f"protocols share a name ({', '.join(doubled)}): give each its `name`")
        missing = [baseline for baseline in self.gate.beats if baseline not in self.baselines]
        if missing:
            raise ValueError(f"gate.beats names {', '.join(missing)}: add it to `baselines`, or it is never measured")
        single = [protocol.name for protocol in self.protocols if protocol.kind in _ONE_LABEL]
        if single and self.target.kind == "present":
            raise ValueError(
                f"{', '.join(single)} says one class of a chip: take the target `dominant`, or leave it out"
            )
        whole = [each.name for each in self.protocols if each.kind not in (*OF_PIXELS, "retrieval")]
        if whole and self.target.kind == "pixels":
            raise ValueError(
                f"{', '.join(whole)} says classes of a chip: take the target `dominant` or `present`, or leave it out"
            )
        return self
