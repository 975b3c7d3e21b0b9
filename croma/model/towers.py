"""Encoders that do not know of each other, one for each input: what the dual encoder and CMID keep."""

import torch
from torch import Tensor, nn

from croma.model.croma import Encodings
from croma.model.encoders import Encoder
from croma.model.resnet import ResNet
from croma.model.swin import Swin
from croma.model.towers_spec import TowerName, TowersSpec


class Towers(nn.Module):
    """One encoder for each of the spec's towers, by name."""

    def __init__(self, spec: TowersSpec) -> None:
        super().__init__()
        self.spec = spec
        self.towers = nn.ModuleDict({name: build_tower(spec, name) for name in spec.towers})

    def forward(self, radar: Tensor | None = None, optical: Tensor | None = None) -> Encodings:
        """Encodings of the inputs that were given and that there is a tower for.

        Args:
            radar: (b, 2, height, width), or None.
            optical: (b, 12, height, width), or None.

        Raises:
            ValueError: no tower sees what was given.
        """
        found: dict[str, Tensor] = {}
        for name, tower in self.towers.items():
            image = pick(name, radar, optical)
            if image is not None:
                found[name] = tower(image)
                found[f"{name}_gap"] = found[name].mean(dim=1)
        if not found:
            raise ValueError(f"nothing to encode: this network sees {', '.join(self.spec.towers)}")
        return Encodings(**found)


def build_tower(spec: TowersSpec, name: TowerName) -> Encoder | ResNet | Swin:
    """One encoder with fresh weights: images (b, c, height, width) to tokens (b, n, D)."""
    if spec.backbone == "resnet":
        return ResNet(spec.channels(name), spec.width, spec.blocks)
    if spec.backbone == "swin":
        return Swin(spec.channels(name), spec.width, spec.blocks, spec.window)
    return Encoder(spec.channels(name), spec.dim, spec.depth, spec.heads, spec.patch)


def pick(name: str, radar: Tensor | None, optical: Tensor | None) -> Tensor | None:
    """What the tower `name` sees of the two images; None where that is not given."""
    if name == "joint":
        return None if radar is None or optical is None else torch.cat((optical, radar), dim=1)
    return radar if name == "radar" else optical
