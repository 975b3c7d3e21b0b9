"""Which patches of an image the encoder sees.

Source: random masking of MAE (He et al. 2022); CROMA masks 75 % of each sensor independently.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from croma.model.spec import kept


class TokenMask(NamedTuple):
    """The patches of each image that are seen, and those that are hidden."""

    keep: Tensor
    """int64 (b, k), numbers of the seen patches in random order."""
    hidden: Tensor
    """bool (b, n), True where a patch is hidden."""

    @classmethod
    def from_noise(cls, noise: Tensor, ratio: float) -> "TokenMask":
        """Keeps the patches with the smallest noise: int(n · (1 - ratio)) of them, in ascending order of their noise.

        Args:
            noise: (b, n), independent uniform numbers; with equal ones the first patch comes first.
            ratio: share of patches to hide, in [0, 1).
        """
        order = torch.argsort(noise, dim=1, stable=True)
        return cls.from_ids(order[:, : kept(noise.shape[1], ratio)], noise.shape[1])

    @classmethod
    def from_ids(cls, keep: Tensor, tokens: int) -> "TokenMask":
        """Keeps the patches named by `keep`, int64 (b, k), of the `tokens` patches of each image."""
        hidden = torch.ones(len(keep), tokens, dtype=torch.bool, device=keep.device)
        return cls(keep=keep, hidden=hidden.scatter(1, keep, False))
