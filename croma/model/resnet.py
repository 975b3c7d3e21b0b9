"""ResNet (He et al. 2016) with bottleneck blocks, stride in the 3 × 3 convolution, and group norm.

Group norm (Wu and He 2018) instead of batch norm: what a network makes of a chip must not depend on the chips beside
it, or one gradient would not be the same on any number of workers and micro-batches.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

_GROUPS = 32


class ResNet(nn.Module):
    """Tokens of an image: the cells of the last feature map, row by row."""

    def __init__(self, channels: int, width: int, blocks: tuple[int, ...]) -> None:
        """`width` channels in the stem; stage i has 2^i times as many inside its blocks and 4 times those outside."""
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        self.norm = _norm(width)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        widths = [width, *(4 * width * 2**i for i in range(len(blocks)))]
        self.stages = nn.Sequential(
            *(
                _stage(before, after, count, stride=1 if number == 0 else 2)
                for number, ((before, after), count) in enumerate(zip(pairwise(widths), blocks, strict=True))
            )
        )
        _initialise(self)

    def forward(self, image: Tensor, added: Tensor | None = None) -> Tensor:
        """Encodings of an image.

        Args:
            image: (b, c, height, width), sides multiples of the stride.
            added: (b, width, height / 4, width / 4), added to what enters the first stage.

        Returns:
            (b, n, D).
        """
        cells = self.pool(torch.relu(self.norm(self.stem(image))))
        cells = cells if added is None else cells + added.to(cells.dtype)
        cells = self.stages(cells)
        return cells.flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class _Bottleneck(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        inside = after // 4
        self.narrow, self.norm_1 = nn.Conv2d(before, inside, 1, bias=False), _norm(inside)
        self.look, self.norm_2 = nn.Conv2d(inside, inside, 3, stride, 1, bias=False), _norm(inside)
        self.widen, self.norm_3 = nn.Conv2d(inside, after, 1, bias=False), _norm(after)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.skip = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), _norm(after))

    def forward(self, cells: Tensor) -> Tensor:
        out = torch.relu(self.norm_1(self.narrow(cells)))
        out = torch.relu(self.norm_2(self.look(out)))
        return torch.relu(self.norm_3(self.widen(out)) + self.skip(cells))


def _stage(before: int, after: int, count: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_Bottleneck(before, after, stride), *(_Bottleneck(after, after, 1) for _ in range(count - 1)))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(_GROUPS, channels), channels)


def _initialise(module: nn.Module) -> None:
    """Kaiming-normal convolutions."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
