"""Uncertainty by drawing blocks of ground again.

Neighbouring chips look alike, so drawing single chips would promise too much. Whole blocks are drawn with replacement
(Efron's percentile bootstrap over clusters), and every encoder sees the same draws, so differences are paired.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from croma.evaluation.spec import Bootstrap

Draws = npt.NDArray[np.float64]
"""(draws + 1, blocks). How often each block is drawn; the first row takes every block once."""


class Estimate(NamedTuple):
    """A value with the ends of its interval; None where one block gives no interval."""

    value: float
    low: float | None
    high: float | None


def block_of(rows: pa.Table, block_km: float) -> npt.NDArray[np.int64]:
    """The block number of each row, (n,), counted from 0: squares of `block_km` in the chip's UTM zone."""
    side = block_km * 1000
    corners = [np.asarray(rows[name], np.int64) for name in ("epsg", "left", "top")]
    places = np.stack([corners[0], corners[1] // side, corners[2] // side], axis=1)
    _, numbers = np.unique(places, axis=0, return_inverse=True)
    return np.asarray(numbers, np.int64).reshape(-1)


def draw_blocks(blocks: int, spec: Bootstrap) -> Draws:
    """The draws of an evaluation: a function of the number of blocks and the spec's seed."""
    generator = np.random.default_rng(spec.seed)
    drawn = generator.multinomial(blocks, np.full(blocks, 1 / blocks), size=spec.draws)
    return np.concatenate([np.ones((1, blocks)), drawn.astype(np.float64)])


def estimate(values: npt.NDArray[np.float64], blocks: int, level: float) -> Estimate:
    """The first of `values` with the interval that the others span; draws without a value (NaN) are left out."""
    if blocks < 2:
        return Estimate(float(values[0]), None, None)
    low, high = np.nanquantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(values[0]), *(float(end) if math.isfinite(end) else None for end in (low, high)))
