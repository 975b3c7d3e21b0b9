"""Contrast over the global batch: an image's own counterpart among everyone's.

Features are projected and normalised where they are made; the loss sees the rows of the whole global batch, so it does
not depend on how they are spread over workers and micro-batches.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

INITIAL_TEMPERATURE = 0.07
"""As in CLIP (Radford et al. 2021) and CROMA."""


class Projection(nn.Module):
    """A linear map, then length 1."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, dim)

    def forward(self, vectors: Tensor) -> Tensor:
        """(b, D) to float32 (b, D) of unit length."""
        projected = self.linear(vectors).float()
        unit: Tensor = projected / projected.norm(dim=1, keepdim=True)
        return unit


def initial_log_scale(temperature: float = INITIAL_TEMPERATURE) -> Tensor:
    """The logarithm of one over the temperature: what is learnt in its stead."""
    return torch.tensor(math.log(1 / temperature))


def cross_modal(left: Tensor, right: Tensor, log_scale: Tensor, through_keys: bool) -> Tensor:
    """InfoNCE in both directions: row i of one side finds row i of the other among all its rows.

    Args:
        left: (B, d), unit rows of the whole global batch.
        right: (B, d), in the same order.
        log_scale: scalar, log(1 / temperature).
        through_keys: whether the rows that are searched receive gradient too. Without, only the searching rows do:
            what the published code amounts to, for its gathered rows carry no gradient, on one worker as on many.

    Returns:
        Scalar float32, the mean of both directions.
    """
    with torch.autocast(left.device.type, enabled=False):
        left, right, scale = left.float(), right.float(), log_scale.float().exp()
        labels = torch.arange(len(left), device=left.device)
        if through_keys:
            logits = scale * left @ right.T
            return (functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)) / 2
        ahead = functional.cross_entropy(scale * left @ right.detach().T, labels)
        back = functional.cross_entropy(scale * right @ left.detach().T, labels)
        return (ahead + back) / 2


def standardised(rows: Tensor) -> Tensor:
    """Float32 rows (B, d) of the whole global batch with mean 0 and variance 1 in every column, as by a batch norm."""
    with torch.autocast(rows.device.type, enabled=False):
        return functional.batch_norm(rows.float(), None, None, training=True)


def nt_xent(left: Tensor, right: Tensor, log_scale: Tensor) -> Tensor:
    """NT-Xent (Chen et al. 2020): each of the 2B rows finds its counterpart among all others, its own side's included.

    Args:
        left: (B, d), unit rows of the whole global batch.
        right: (B, d), in the same order.
        log_scale: scalar, log(1 / temperature).

    Returns:
        Scalar float32, the mean over the 2B rows.
    """
    with torch.autocast(left.device.type, enabled=False):
        rows = torch.cat((left, right)).float()
        itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        logits = (log_scale.float().exp() * rows @ rows.T).masked_fill(itself, -torch.inf)
        counterpart = torch.arange(len(rows), device=rows.device).roll(len(left))
        return functional.cross_entropy(logits, counterpart)
