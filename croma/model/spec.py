"""What a CROMA network is, as a value. Needs nothing but the standard library.

The published code departs from the paper in four places; each has a switch with the values `official` and `paper`. The
one that shapes the network is here (`joint_self_bias`), the three that shape the losses are in
`croma.objectives.spec.CromaSpec`.

Weights start from PyTorch's default initialisation (Kaiming-uniform with a = √5), as published; only the mask token is
drawn from N(0, 0.02). Source: antofuller/CROMA at 59505a6, `pretrain_croma.py`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Departure = Literal["official", "paper"]
"""`official`: as the published code computes it. `paper`: as the paper describes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """The networks: two sensor encoders, the joint encoder, and the decoder used in pretraining."""

    encoder_dim: int = 768
    """Width of the three encoders; a multiple of `encoder_heads`."""
    encoder_depth: int = 12
    """Blocks of the optical encoder; radar and joint encoders have half as many. Even."""
    encoder_heads: int = 16
    patch: int = 8
    """Side of a patch in pixels."""
    image: int | tuple[int, int] = 120
    """Side, or (height, width), of a pretraining image in pixels: multiples of `patch`. Encoders take any size."""
    radar_channels: int = 2
    optical_channels: int = 12
    decoder_dim: int = 512
    """Width of the decoder: a multiple of 4 (sine and cosine of two axes) and of `decoder_heads`."""
    decoder_depth: int = 1
    decoder_heads: int = 8
    positions: Literal["alibi", "sincos"] = "alibi"
    """How encoders know where a patch is. `alibi`: attention falls with distance, as published. `sincos`: sines and
    cosines are added to the embedded patches, as in MAE: for comparison; widths are multiples of 4 then."""
    joint_self_bias: Departure = "official"
    """Positions behind the bias of the joint encoder's self-attention, whose queries and keys are both radar tokens.
    `paper`: their own. `official`: keys use the optical tokens' positions. The same when nothing is masked."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        problems = [*_not_positive(self), *_not_divisible(self)]
        if self.positions not in ("alibi", "sincos"):
            problems.append(f"positions is {self.positions!r}; it is 'alibi' or 'sincos'")
        if self.joint_self_bias not in ("official", "paper"):
            problems.append(f"joint_self_bias is {self.joint_self_bias!r}; it is 'official' or 'paper'")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of a pretraining image in pixels."""
        height, width = (self.image, self.image) if isinstance(self.image, int) else self.image
        return height, width

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches of a pretraining image."""
        height, width = self.size
        return height // self.patch, width // self.patch

    @property
    def tokens(self) -> int:
        """Patches of a pretraining image."""
        rows, columns = self.grid
        return rows * columns

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "ModelSpec":
        """The spec that `dataclasses.asdict` wrote to JSON, where a tuple has become a list."""
        image = fields.get("image", 120)
        return cls(**{**fields, "image": tuple(image) if isinstance(image, list) else image})


def kept(tokens: int, ratio: float) -> int:
    """How many of `tokens` patches are seen when the share `ratio` is hidden: rounded down, as published."""
    return int(tokens * (1 - ratio))


def _not_positive(spec: ModelSpec) -> list[str]:
    encoder = ("encoder_dim", "encoder_depth", "encoder_heads", "patch", "radar_channels", "optical_channels")
    names = (*encoder, "decoder_dim", "decoder_depth", "decoder_heads")
    return [f"{name} is {value}; it is at least 1" for name in names if (value := getattr(spec, name)) < 1]


def _not_divisible(spec: ModelSpec) -> list[str]:
    height, width = spec.size
    rules = [
        ("encoder_dim", spec.encoder_dim, "encoder_heads", spec.encoder_heads),
        ("encoder_depth", spec.encoder_depth, "the 2 optical blocks per radar block", 2),
        ("encoder_dim", spec.encoder_dim, "positions as sines and cosines", 4 if spec.positions == "sincos" else 0),
        ("decoder_dim", spec.decoder_dim, "decoder_heads", spec.decoder_heads),
        ("decoder_dim", spec.decoder_dim, "the 4 sine and cosine parts of a position", 4),
        ("image height", height, "patch", spec.patch),
        ("image width", width, "patch", spec.patch),
    ]
    return [
        f"{name} is {value}; it is a positive multiple of {divisor}, for {why}"
        for name, value, why, divisor in rules
        if divisor > 0 and (value < 1 or value % divisor)
    ]


BASE = ModelSpec()
"""CROMA-B as published: 194 M released parameters."""
LARGE = ModelSpec(encoder_dim=1024, encoder_depth=24)
"""CROMA-L as published: 673 M released parameters."""
SMALL = ModelSpec(encoder_dim=128, encoder_depth=4, encoder_heads=4, decoder_dim=128, decoder_heads=4, image=96)
"""Our own size for a laptop: about 2 M parameters."""
