"""Swin Transformer (Liu et al. 2021, arXiv 2103.14030): attention in windows, moved by half a window every other block.

Drop path is left out, so that a pass repeats exactly. Maps are (b, height, width, D).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from croma.model.attention import attend
from croma.model.layers import FeedForward, LayerNorm, Stack

HEAD = 32
"""Width of an attention head, in every stage."""
_PATCH = 4

Pair = tuple[int, int]
"""Down and to the right."""


class Swin(nn.Module):
    """Tokens of an image: the cells of the last map, row by row."""

    def __init__(self, channels: int, width: int, blocks: tuple[int, ...], window: int) -> None:
        """`width` channels behind the first patches; every stage has twice as many as the one before."""
        super().__init__()
        self.embed = nn.Conv2d(channels, width, _PATCH, _PATCH)
        self.embed_norm = LayerNorm(width)
        widths = [width * 2**stage for stage in range(len(blocks))]
        self.stages = nn.ModuleList(
            Stack(_Block(wide, window, moved=number % 2 == 1) for number in range(count))
            for wide, count in zip(widths, blocks, strict=True)
        )
        self.merges = nn.ModuleList(_Merge(before, after) for before, after in pairwise(widths))
        self.norm = LayerNorm(widths[-1])
        _initialise(self)

    def forward(self, image: Tensor, added: Tensor | None = None) -> Tensor:
        """Encodings of an image.

        Args:
            image: (b, c, height, width), sides multiples of the stride.
            added: (b, width, height / 4, width / 4), added to what enters the first stage.

        Returns:
            (b, n, D).
        """
        cells = self.embed_norm(self.embed(image).permute(0, 2, 3, 1))
        cells = cells if added is None else cells + added.permute(0, 2, 3, 1).to(cells.dtype)
        for number, stage in enumerate(self.stages):
            cells = stage(self.merges[number - 1](cells) if number else cells)
        return self.norm(cells).flatten(1, 2)  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Attention within windows, then feed-forward."""

    def __init__(self, dim: int, window: int, moved: bool) -> None:
        super().__init__()
        self.window, self.moved, self.heads = window, moved, dim // HEAD
        self.norm = LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.bias = nn.Parameter(torch.empty(self.heads, (2 * window - 1) ** 2))
        self.feedforward = FeedForward(dim)

    def forward(self, cells: Tensor) -> Tensor:
        return self.feedforward(cells + self._attend(self.norm(cells)))  # type: ignore[no-any-return]

    def _attend(self, cells: Tensor) -> Tensor:
        """A map that is no multiple of the window is padded; along a side that one window covers, none is moved."""
        height, width = cells.shape[1:3]
        side = min(self.window, height, width)
        half = side // 2 if self.moved else 0
        shift = half * (height > side), half * (width > side)
        padding = -height % side, -width % side
        padded = functional.pad(cells, (0, 0, 0, padding[1], 0, padding[0]))
        windows = _cut(padded.roll((-shift[0], -shift[1]), (1, 2)), side)
        query, key, value = self.qkv(windows).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self._bias(side)[None].to(query.dtype)
        if any(shift + padding):
            parts = _parts((height, width), padding, shift, side, cells.device)
            apart = parts[:, None, :, None] != parts[:, None, None, :]
            bias = bias.masked_fill(apart, -torch.inf).repeat(len(cells), 1, 1, 1)
        found = self.out(attend(query, key, value, bias).transpose(1, 2).flatten(2))
        return _join(found, padded.shape[1], padded.shape[2]).roll(shift, (1, 2))[:, :height, :width]

    def _bias(self, side: int) -> Tensor:
        """(heads, n, n): learnt, by the way from key to query; a smaller window takes the middle of the table."""
        steps = torch.arange(side, device=self.bias.device)
        places = torch.cartesian_prod(steps, steps)
        away = places[:, None] - places[None] + self.window - 1
        return self.bias[:, away[..., 0] * (2 * self.window - 1) + away[..., 1]]


class _Merge(nn.Module):
    """Four neighbouring cells become one."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norm, self.reduce = LayerNorm(4 * before), nn.Linear(4 * before, after, bias=False)

    def forward(self, cells: Tensor) -> Tensor:
        quarters = [cells[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduce(self.norm(torch.cat(quarters, dim=-1)))  # type: ignore[no-any-return]


def _parts(size: Pair, padding: Pair, shift: Pair, side: int, device: torch.device) -> Tensor:
    """(windows, n): which part of the map each cell of each window is of; only cells of one part meet.

    Windows at the far edges hold what was moved there from the near ones, and padding.
    """
    parts = torch.zeros(1, size[0] + padding[0], size[1] + padding[1], 1, device=device)
    parts[:, size[0] :], parts[:, :, size[1] :] = 9, 9
    parts = parts.roll((-shift[0], -shift[1]), (1, 2))
    parts[:, parts.shape[1] - shift[0] :] += 1
    parts[:, :, parts.shape[2] - shift[1] :] += 2
    return _cut(parts, side)[..., 0]


def _cut(cells: Tensor, side: int) -> Tensor:
    """(b, height, width, D) to windows (b · windows, side², D)."""
    count, height, width, dim = cells.shape
    cut = cells.reshape(count, height // side, side, width // side, side, dim)
    return cut.transpose(2, 3).reshape(-1, side * side, dim)


def _join(windows: Tensor, height: int, width: int) -> Tensor:
    """What `_cut` has cut, (b, height, width, D)."""
    side = round(windows.shape[1] ** 0.5)
    cut = windows.reshape(-1, height // side, width // side, side, side, windows.shape[2])
    return cut.transpose(2, 3).reshape(len(cut), height, width, windows.shape[2])


def _initialise(module: nn.Module) -> None:
    """As published: normal weights of standard deviation 0.02 (cut off at 2, which none reaches), no biases."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, _Block):
            nn.init.normal_(part.bias, std=0.02)
