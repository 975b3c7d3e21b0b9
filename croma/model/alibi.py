"""Where patches are. 2D-ALiBi and X-ALiBi in closed form: attention falls with the distance between patches.

The bias of head h between a query patch and a key patch is -slope(h) times their Euclidean distance. Between tokens of
one sensor it is called 2D-ALiBi, between tokens of two sensors X-ALiBi (Fuller et al. 2023). It follows from positions
alone, so any grid and any subset of its patches will do.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_ALIGNED = 8
"""Elements to which fused attention kernels want the rows of a bias aligned; others are copied at every call."""


class Alibi(NamedTuple):
    """The bias before it is written out: (b, h, q, k) numbers from (q + k) positions."""

    slopes: Tensor
    """float (h,)."""
    queries: Tensor
    """float (b or 1, q, 2), row and column of each query patch."""
    keys: Tensor
    """float (b or 1, k, 2), row and column of each key patch."""

    def dense(self, dtype: torch.dtype) -> Tensor:
        """The bias (b or 1, h, q, k) in `dtype`, its rows aligned in memory."""
        return _dense(self.slopes, self.queries, self.keys, dtype)

    def rows(self, start: int, stop: int, dtype: torch.dtype) -> Tensor:
        """The bias of queries `start` to `stop` only: (b or 1, h, stop - start, k)."""
        return _dense(self.slopes, self.queries[:, start:stop], self.keys, dtype)


def slopes(heads: int) -> Tensor:
    """float32 (heads,): for a power of two, r, r², …, r^heads with r = 2^(-8 / heads).

    Other numbers take the slopes of the power of two below, then every second one of the power of two above, as ALiBi
    does (Press et al. 2022).
    """
    below = 2 ** math.floor(math.log2(heads))
    ladder = _ladder(below) + _ladder(2 * below)[0::2][: heads - below]
    return torch.tensor(ladder, dtype=torch.float32)


def positions(ids: Tensor, columns: int) -> Tensor:
    """float32 (…, 2): row and column of the patches numbered `ids`, int64 (…), in a grid of `columns` columns."""
    return torch.stack((ids // columns, ids % columns), dim=-1).to(torch.float32)


def grid_positions(grid: tuple[int, int], device: torch.device) -> Tensor:
    """float32 (1, n, 2): row and column of every patch of a grid of (rows, columns)."""
    rows, columns = grid
    return positions(torch.arange(rows * columns, device=device), columns)[None]


def sincos(places: Tensor, dim: int) -> Tensor:
    """float32 (…, dim): sines and cosines of `places` (…, 2), of columns in the first half, of rows in the second.

    Frequencies fall from 1 to 1 / 10,000 (Vaswani et al. 2017), computed in float64.
    """
    rows, columns = places.double().unbind(-1)
    frequency = 10000.0 ** -(torch.arange(dim // 4, dtype=torch.float64, device=places.device) / (dim / 4))
    angles = [axis[..., None] * frequency for axis in (columns, rows)]
    return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=-1).float()


def _ladder(heads: int) -> list[float]:
    ratio = 2.0 ** -(2.0 ** -(math.log2(heads) - 3))
    return [ratio * ratio**i for i in range(heads)]


def _dense(slopes: Tensor, queries: Tensor, keys: Tensor, dtype: torch.dtype) -> Tensor:
    count = keys.shape[1]
    keys = torch.nn.functional.pad(keys, (0, 0, 0, -count % _ALIGNED))
    row, column = (queries[:, :, None] - keys[:, None]).unbind(-1)
    # In float64 the root is exact to the last digit of float32 on any device; vectorised float32 roots are not.
    distance = (row * row + column * column).double().sqrt().float()
    return (distance[:, None] * -slopes[:, None, None]).to(dtype)[..., :count]
