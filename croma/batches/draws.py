"""Random draws as a hash: the same key gives the same numbers on any device, in any order, in any company.

Source: splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"). int64 arithmetic wraps
in torch as in C, so the unsigned algorithm is written in signed numbers.

Streams tell the uses of a key apart. `croma.batches` owns 1 to 99, objectives own 100 to 199.
"""

import torch
from torch import Tensor

CROP = 1
"""Stream of the crop's size and place."""
TURN = 2
"""Stream of flips and rotations."""

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


def mix(state: Tensor) -> Tensor:
    """A bijection of int64 that leaves no visible structure."""
    state = (state ^ _shift(state, 30)) * _MIX_1
    state = (state ^ _shift(state, 27)) * _MIX_2
    return state ^ _shift(state, 31)


def uniform(keys: Tensor, n: int, stream: int) -> Tensor:
    """`n` numbers for every key, uniform in [0, 1).

    Args:
        keys: int64 (b,).
        n: numbers wanted of each key.
        stream: tells uses apart: two draws of one sample with different streams are independent.

    Returns:
        float32 (b, n) with 24 random bits each, on the device of `keys`.
    """
    drawn: Tensor = _uniform(keys, n, stream)
    return drawn


# One operation to a compiler: Inductor counts `arange` in int32 on GPUs, where the constants below do not fit (2.11).
@torch.library.custom_op("croma::uniform", mutates_args=())
def _uniform(keys: Tensor, n: int, stream: int) -> Tensor:
    counter = torch.arange(1, n + 1, dtype=torch.int64, device=keys.device)
    origin = mix(keys ^ mix(torch.full_like(keys, stream) * _GOLDEN))
    bits = _shift(mix(origin[:, None] + counter * _GOLDEN), 40)
    return bits.to(torch.float32) * (1.0 / (1 << 24))


@_uniform.register_fake
def _(keys: Tensor, n: int, stream: int) -> Tensor:  # noqa: ARG001 - the operation's own arguments
    return keys.new_empty((len(keys), n), dtype=torch.float32)


def integers(keys: Tensor, below: Tensor | int, stream: int, n: int = 1) -> Tensor:
    """`n` whole numbers for every key, uniform in 0 … `below` - 1 (to within `below` / 2²⁴).

    `keys` and `stream` as in `uniform`; `below` is one bound, or bounds that broadcast with (b, n), at most 2²⁴.

    Returns:
        int64 (b, n).
    """
    return (uniform(keys, n, stream).double() * below).long()


def _shift(state: Tensor, bits: int) -> Tensor:
    """Logical right shift: the sign bit moves down with the others."""
    return (state >> bits) & ((1 << (64 - bits)) - 1)
