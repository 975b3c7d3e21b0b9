"""Light heads for segmentation: from the encodings of patches to the classes of pixels."""

import torch
from torch import Tensor, nn

from croma.evaluation.spec import HeadKind
from croma.model.patches import unpatchify


class LinearHead(nn.Module):
    """Each patch's pixels from its own encoding: (b, n, d) to (b, C, h, w), for any square number of patches."""

    def __init__(self, dim: int, classes: int, patch: int) -> None:
        super().__init__()
        self.classes, self.patch = classes, patch
        self.linear = nn.Linear(dim, classes * patch * patch)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (b, C, h, w)."""
        side = round(tokens.shape[1] ** 0.5)
        return unpatchify(self.linear(tokens), (side, side), self.patch)


class DecoderHead(nn.Module):
    """Upsampling by 2 with every convolution until pixels are reached."""

    def __init__(self, dim: int, classes: int, patch: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = dim
        for step in range(patch.bit_length() - 1):
            narrow = max(128 >> step, 16)
            layers += [nn.ConvTranspose2d(width, narrow, 2, 2), nn.GELU()]
            layers += [nn.Conv2d(narrow, narrow, 3, padding=1), nn.GELU()]
            width = narrow
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, classes, 1))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (b, C, h, w)."""
        side = round(tokens.shape[1] ** 0.5)
        image = torch.unflatten(tokens.transpose(1, 2), 2, (side, side))
        found: Tensor = self.layers(image)
        return found


def make_head(kind: HeadKind, dim: int, classes: int, patch: int) -> nn.Module:
    """A head for patches of `patch` pixels along a side."""
    return (LinearHead if kind == "linear" else DecoderHead)(dim, classes, patch)


def classes_of(logits: Tensor) -> Tensor:
    """Class numbers (b, h, w) of logits (b, C, h, w); on a CPU `argmax` across channels takes six to forty times as
    long.
    """
    return logits.max(dim=1).indices
