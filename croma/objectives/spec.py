"""What a recipe may name as an objective. Needs the standard library alone, so that a recipe can be read anywhere."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from croma.model.spec import Departure, ModelSpec, kept


@dataclass(frozen=True, kw_only=True, slots=True)
class CromaSpec:
    """CROMA pretraining."""

    kind: Literal["croma"] = "croma"
    model: ModelSpec = field(default_factory=ModelSpec)
    radar_mask_ratio: float = 0.75
    """Share of radar patches hidden from the encoder, in (0, 1)."""
    optical_mask_ratio: float = 0.75
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
    for name in ("contrast_weight", "reconstruction_weight"):
        if not 0 <= getattr(spec, name) < math.inf:
            yield f"{name} is {getattr(spec, name)}; it is a finite number, at least 0"
    if spec.contrast_weight == spec.reconstruction_weight == 0:
        yield "contrast_weight and reconstruction_weight are both 0; nothing would be learnt"
    for name in ("contrast_grad", "target_norm", "clamp_temperature"):
        if getattr(spec, name) not in ("official", "paper"):
            yield f"{name} is {getattr(spec, name)!r}; it is 'official' or 'paper'"


ObjectiveSpec = CromaSpec
"""Any of them, told apart by `kind`."""
