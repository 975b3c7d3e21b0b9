"""What a recipe may name as an objective. Needs the standard library alone, so that a recipe can be read anywhere."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from croma.model.spec import Departure, ModelSpec, kept
from croma.model.towers_spec import TowersSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class CromaSpec:
    """CROMA pretraining."""

    kind: Literal["croma"] = "croma"
    model: ModelSpec = field(default_factory=ModelSpec)
    radar_mask_ratio: float = 0.75
    """Share of radar patches hidden from the encoder, in (0, 1)."""
    optical_mask_ratio: float = 0.75
    masks: Literal["independent", "joint"] = "independent"
    """`independent`: each sensor has its own, as published. `joint`: both hide the same patches, for comparison; ratios
    are equal then."""
    contrast_weight: float = 1.0
    """0 leaves the term out: reconstruction only."""
    reconstruction_weight: float = 1.0
    """0 leaves the term out, and the joint encoder and decoder with it: contrast only."""
    contrast_grad: Departure = "official"
    """`official`: only the searching rows receive gradient. `paper`: the rows searched as well, which about doubles the
    gradient of this term."""
    target_norm: Departure = "official"
    """`official`: a patch is normalised over all channels of both sensors together. `paper`: each sensor by itself."""
    clamp_temperature: Departure = "official"
    """`official`: the learnt 1 / temperature is free. `paper`: it is kept at 100 at most."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if problems := list(_problems(self)):
            raise ValueError("; ".join(problems))


def _problems(spec: CromaSpec) -> Iterator[str]:
    tokens = spec.model.tokens
    for name in ("radar_mask_ratio", "optical_mask_ratio"):
        ratio = getattr(spec, name)
        if not 0 < ratio < 1 or not 0 < kept(tokens, ratio) < tokens:
            yield f"{name} is {ratio}; of {tokens} patches at least one is hidden and one is seen"
    if spec.masks not in ("independent", "joint"):
        yield f"masks is {spec.masks!r}; it is 'independent' or 'joint'"
    if spec.masks == "joint" and spec.radar_mask_ratio != spec.optical_mask_ratio:
        yield f"radar_mask_ratio is {spec.radar_mask_ratio}, optical {spec.optical_mask_ratio}; joint masks have one"
    for name in ("contrast_weight", "reconstruction_weight"):
        if not 0 <= getattr(spec, name) < math.inf:
            yield f"{name} is {getattr(spec, name)}; it is a finite number, at least 0"
    if spec.contrast_weight == spec.reconstruction_weight == 0:
        yield "contrast_weight and reconstruction_weight are both 0; nothing would be learnt"
    for name in ("contrast_grad", "target_norm", "clamp_temperature"):
        if getattr(spec, name) not in ("official", "paper"):
            yield f"{name} is {getattr(spec, name)!r}; it is 'official' or 'paper'"


@dataclass(frozen=True, kw_only=True, slots=True)
class DualEncoderSpec:
    """Contrast of two looks at one place. Jain et al. publish no recipe: every default is our choice."""

    kind: Literal["dual_encoder"] = "dual_encoder"
    model: TowersSpec = field(default_factory=TowersSpec)
    positives: Literal["sensors", "views"] = "sensors"
    """`sensors`: radar and optical of one place; towers are radar and optical. `views`: two strong augmentations of one
    sensor's image, the baseline; one tower."""
    negatives: Literal["all", "cross_modal"] = "all"
    """`all`: the other 2B - 2 rows of the global batch. `cross_modal`: the B - 1 of the other side."""
    temperature: float = 0.1
    learn_temperature: bool = False
    projection: int = 128
    """Width of the vectors that are compared."""
    smallest_crop: float = 0.3
    """Of `views`: smallest share of the image's area that a crop shows."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        problems = []
        towers = set(self.model.towers)
        if self.positives == "sensors" and towers != {"radar", "optical"}:
            problems.append(f"model.towers are {sorted(towers)}; positives 'sensors' need radar and optical")
        if self.positives == "views" and len(towers) != 1:
            problems.append(f"model.towers are {sorted(towers)}; positives 'views' need exactly one")
        if self.positives not in ("sensors", "views"):
            problems.append(f"positives is {self.positives!r}; it is 'sensors' or 'views'")
        if self.negatives not in ("all", "cross_modal"):
            problems.append(f"negatives is {self.negatives!r}; it is 'all' or 'cross_modal'")
        if not 0 < self.temperature < math.inf:
            problems.append(f"temperature is {self.temperature}; it is above 0")
        if self.projection < 1:
            problems.append(f"projection is {self.projection}; it is at least 1")
        if not 0 < self.smallest_crop <= 1:
            problems.append(f"smallest_crop is {self.smallest_crop}; it is above 0 and at most 1")
        if problems:
            raise ValueError("; ".join(problems))


@dataclass(frozen=True, kw_only=True, slots=True)
class CmidSpec:
    """CMID. Numbers are the published ones, but for image and mask, which fit CROMA's 120 px and its 8 px patches."""

    kind: Literal["cmid"] = "cmid"
    model: TowersSpec = field(default_factory=lambda: TowersSpec(towers=("optical",)))
    """One tower; "joint" stacks both sensors."""
    mask_patch: int = 24
    """Side of a block that is masked, in pixels; published: 32 of 224. A multiple of the model's patch for a ViT."""
    mask_ratio: float = 0.6
    """Share of blocks masked, rounded up."""
    smallest_crop: float = 0.3
    """Smallest share of the image's area that a view shows."""
    hidden: int = 2048
    """Width inside the heads."""
    projection: int = 256
    """Width of the vectors that are compared."""
    global_branch: Literal["moco", "byol"] = "moco"
    temperature: float = 0.2
    """Of the global branch with a queue."""
    queue: int = 65536
    """Keys of past batches that a query is compared with."""
    prototypes: int = 2048
    matches: int = 20
    """Cells of a view that are matched with the other; published: 20 of 49."""
    teacher_temperatures: tuple[float, float] = (0.04, 0.07)
    """At the start, and after the warm-up."""
    temperature_warmup: float = 0.125
    """Share of training in which the teacher's temperature rises; published: 50 of 400 epochs."""
    momentum: float = 0.996
    """Of the teacher at the start; rises to 1 along a cosine."""
    centre_momentum: float = 0.9

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if problems := list(_cmid_problems(self)):
            raise ValueError("; ".join(problems))


def _cmid_problems(spec: CmidSpec) -> Iterator[str]:
    yield from _wrong_numbers(spec)
    if len(spec.model.towers) != 1:
        yield f"model.towers are {list(spec.model.towers)}; CMID has one"
    unit = spec.model.patch if spec.model.backbone == "vit" else 4
    if spec.mask_patch < 1 or spec.mask_patch % unit or any(side % spec.mask_patch for side in spec.model.size):
        yield f"mask_patch is {spec.mask_patch}; it is a multiple of {unit} that divides the image, {spec.model.image}"
    if not 1 <= spec.matches <= spec.model.tokens:
        yield f"matches is {spec.matches}; it is from 1 to {spec.model.tokens}, the cells of an image"
    if min(spec.temperature, *spec.teacher_temperatures) <= 0:
        given = f"temperature is {spec.temperature}, teacher_temperatures are {spec.teacher_temperatures}"
        yield f"{given}; all are above 0"
    if spec.global_branch not in ("moco", "byol"):
        yield f"global_branch is {spec.global_branch!r}; it is 'moco' or 'byol'"


def _wrong_numbers(spec: CmidSpec) -> Iterator[str]:
    for name in ("hidden", "projection", "queue", "prototypes"):
        if getattr(spec, name) < 1:
            yield f"{name} is {getattr(spec, name)}; it is at least 1"
    for name in ("mask_ratio", "smallest_crop", "temperature_warmup"):
        if not 0 < getattr(spec, name) <= 1:
            yield f"{name} is {getattr(spec, name)}; it is above 0 and at most 1"
    for name in ("momentum", "centre_momentum"):
        if not 0 <= getattr(spec, name) <= 1:
            yield f"{name} is {getattr(spec, name)}; it is from 0 to 1"


ObjectiveSpec = CromaSpec | DualEncoderSpec | CmidSpec
"""Any of them, told apart by `kind`."""
