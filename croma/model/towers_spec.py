"""What separate encoders are, as a value: one tower for each kind of input. Needs nothing but the standard library."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from croma.model.spec import ModelSpec

TowerName = Literal["radar", "optical", "joint"]
"""What a tower sees: one sensor, or both stacked, optical channels first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TowersSpec:
    """Encoders that do not know of each other: a ViT with CROMA's position bias, a ResNet or a Swin, for each input."""

    towers: tuple[TowerName, ...] = ("radar", "optical")
    backbone: Literal["vit", "resnet", "swin"] = "vit"
    dim: int = 768
    """Width of a ViT's tokens; a multiple of `heads`."""
    depth: int = 12
    """Blocks of a ViT."""
    heads: int = 16
    patch: int = 8
    """Side in pixels of the square behind a token: a ViT's patch; else the stride, 2 to the number of stages + 1."""
    width: int = 64
    """Channels that enter the first stage; the last of four gives 32 times as many in a ResNet, 8 times in a Swin. A
    Swin has a multiple of 32, for its attention heads."""
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    """In each stage: (3, 4, 6, 3) is ResNet-50; (2, 2, 18, 2) with a width of 128 is Swin-B."""
    window: int = 7
    """Side in cells of the squares within which a Swin attends."""
    image: int | tuple[int, int] = 120
    """Side, or (height, width), of a pretraining image in pixels: multiples of `patch`."""
    radar_channels: int = 2
    optical_channels: int = 12

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if problems := list(_problems(self)):
            raise ValueError("; ".join(problems))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of a pretraining image in pixels."""
        height, width = (self.image, self.image) if isinstance(self.image, int) else self.image
        return height, width

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of tokens of a pretraining image."""
        height, width = self.size
        return height // self.patch, width // self.patch

    @property
    def tokens(self) -> int:
        """Tokens of a pretraining image."""
        rows, columns = self.grid
        return rows * columns

    @property
    def features(self) -> int:
        """Width of a token."""
        doublings = len(self.blocks) + (1 if self.backbone == "resnet" else -1)
        return self.dim if self.backbone == "vit" else self.width * 2**doublings

    def channels(self, tower: TowerName) -> int:
        """Bands that a tower takes."""
        counts = {"radar": self.radar_channels, "optical": self.optical_channels}
        return counts.get(tower, self.radar_channels + self.optical_channels)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "TowersSpec":
        """The spec that `dataclasses.asdict` wrote to JSON, where tuples have become lists."""
        plain: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in fields.items()}
        return cls(**plain)


NetworkSpec = ModelSpec | TowersSpec
"""Any network that can be kept, evaluated and exported."""


def network_spec(fields: dict[str, Any]) -> NetworkSpec:
    """The spec that was written to JSON: of towers where it names them, else of CROMA."""
    return TowersSpec.from_json(fields) if "towers" in fields else ModelSpec.from_json(fields)


def _problems(spec: TowersSpec) -> Iterator[str]:
    known = ("radar", "optical", "joint")
    if not spec.towers or len(set(spec.towers)) < len(spec.towers) or not set(spec.towers) <= set(known):
        yield f"towers are {list(spec.towers)}; name each of {list(known)} at most once, and at least one"
    if spec.backbone not in ("vit", "resnet", "swin"):
        yield f"backbone is {spec.backbone!r}; it is 'vit', 'resnet' or 'swin'"
    for name in ("dim", "depth", "heads", "patch", "width", "window", "radar_channels", "optical_channels"):
        if getattr(spec, name) < 1:
            yield f"{name} is {getattr(spec, name)}; it is at least 1"
    if spec.backbone == "vit" and spec.heads > 0 and spec.dim % spec.heads:
        yield f"dim is {spec.dim}; it is a multiple of {spec.heads}, for heads"
    if not spec.blocks or min(spec.blocks) < 1:
        yield f"blocks are {list(spec.blocks)}; every stage has at least 1"
    stride = 2 ** (len(spec.blocks) + 1)
    if spec.backbone != "vit" and spec.patch != stride:
        yield f"patch is {spec.patch}; a {spec.backbone} of {len(spec.blocks)} stages has {stride}"
    if spec.backbone == "swin" and spec.width % 32:
        yield f"width is {spec.width}; a swin has a multiple of 32, for its attention heads"
    if spec.patch > 0 and any(side < 1 or side % spec.patch for side in spec.size):
        yield f"image is {spec.image}; its sides are positive multiples of {spec.patch}, for patch"
