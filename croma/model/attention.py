"""Attention with a distance bias: written out where it is small, from positions where it would not fit.

At 56 visible or 225 tokens a bias made once and shared by all layers is as fast as one computed inside the kernel. At
504 px (3,969 tokens, 16 heads) it would take a gigabyte, so there it is never made whole.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import flex_attention

from croma.model.alibi import Alibi

DENSE_LIMIT = 1024 * 1024
"""Largest number of query-key pairs for which the bias is written out."""
CHUNK = 128 * 1024
"""Query-key pairs for which it is written out at a time beyond that limit, where FlexAttention is not used."""

WRITTEN_KEYS = 128
"""On a CPU, attention in bfloat16 over at most so many keys is written out where it will be differentiated: the fused
backward pass takes 6 to 12 times as long there (measured with 18 to 64 tokens, torch 2.13), and less from about 200."""

# cuDNN's backward gives NaN with a bias at 64 tokens, and misreads a bias of another type than the query
# (pytorch/pytorch #196678, #191612), so it is left out.
_BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]

Bias = Tensor | Alibi | None
"""(b or 1, h, q, k) in the type of the query; or positions, from which it is made piece by piece; or none."""


def prepare(alibi: Alibi, like: Tensor) -> Tensor | Alibi:
    """`alibi` written out when it is small enough, in the type that attention over tokens `like` computes in."""
    pairs = alibi.queries.shape[1] * alibi.keys.shape[1]
    return alibi.dense(compute_dtype(like)) if pairs <= DENSE_LIMIT else alibi


def compute_dtype(like: Tensor) -> torch.dtype:
    """The type of a linear layer's output on `like`: autocast's where it is on."""
    device = like.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else like.dtype


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Bias) -> Tensor:
    """softmax(query keyᵀ / √d + bias) value.

    Args:
        query: (b, h, q, d).
        key: (b, h, k, d).
        value: (b, h, k, d).
        bias: see `Bias`.

    Returns:
        (b, h, q, d).
    """
    if isinstance(bias, Alibi):
        return _flexed(query, key, value, bias) if query.is_cuda else _chunked(query, key, value, bias)
    with sdpa_kernel(_backends(query, key)):
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)


def _backends(query: Tensor, key: Tensor) -> list[SDPBackend]:
    if query.is_cuda or query.dtype != torch.bfloat16 or key.shape[2] > WRITTEN_KEYS or not query.requires_grad:
        return _BACKENDS
    return [SDPBackend.MATH]


def _chunked(query: Tensor, key: Tensor, value: Tensor, alibi: Alibi) -> Tensor:
    """A few queries at a time, so that the bias in memory has one size whatever the image."""
    out = torch.empty_like(query)
    step = max(1, CHUNK // key.shape[2])
    for start in range(0, query.shape[2], step):
        stop = start + step
        rows = alibi.rows(start, stop, query.dtype)
        out[:, :, start:stop] = functional.scaled_dot_product_attention(
            query[:, :, start:stop], key, value, attn_mask=rows
        )
    return out


def _flexed(query: Tensor, key: Tensor, value: Tensor, alibi: Alibi) -> Tensor:
    """The bias is computed inside the kernel and never stored."""
    slopes = alibi.slopes
    queries, keys = alibi.queries.expand(len(query), -1, -1), alibi.keys.expand(len(query), -1, -1)

    def score(value: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        row, column = queries[b, q, 0] - keys[b, k, 0], queries[b, q, 1] - keys[b, k, 1]
        return value - slopes[h] * torch.sqrt(row * row + column * column)

    return _flex()(query, key, value, score_mod=score)


@functools.cache
def _flex() -> Callable[..., Tensor]:
    compiled: Callable[..., Tensor] = torch.compile(flex_attention)
    return compiled
