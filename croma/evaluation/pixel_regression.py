"""Logistic regressions from a patch's encoding to the class of each of its pixels: a linear head, solved.

A linear head of p × p pixels is that many regressions on the same features, each with labels of its own. They are
convex and are solved side by side to their optimum, so a score tells what the encodings know and not how long a head
was trained. The problem and the basis are those of the linear probe (`croma.evaluation.linear`).

Legend: n patches, d features, r of their principal components, C classes, q pixels of a patch, k of them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from croma.evaluation.lbfgs import minimise
from croma.evaluation.linear import principal_basis

_LARGE = 1 << 23
"""Numbers in an array between; more pixels of a patch than fit are solved one lot after the other."""
_TOLERANCE = 1e-5
"""Of the cross-entropy of a pixel; mIoU moves in its fourth digit."""


class Regressions(NamedTuple):
    """One for each pixel of a patch."""

    weights: Tensor
    """(q, d, C)."""
    intercepts: Tensor
    """(q, C)."""


def regress_pixels(
    features: Tensor, labels: Tensor, classes: int, inverse_penalties: Sequence[float]
) -> Iterator[Regressions]:
    """The regressions for each of `inverse_penalties` (scikit-learn's C), which ascend.

    Args:
        features: float32 (n, d), standardised.
        labels: int64 (n, q): class numbers; negative ones are left out of the sums.
        classes: how many there are.
        inverse_penalties: ascending, so that each optimum is a good start for the next.
    """
    basis = principal_basis(features)
    x = torch.cat([features @ basis, torch.ones(len(features), 1)], dim=1)
    lot = max(1, _LARGE // (classes * len(x)))
    lots = [_Lot(x, part, classes) for part in torch.split(labels.T, lot)]
    for inverse_penalty in inverse_penalties:
        solved = torch.cat([each.solve(inverse_penalty) for each in lots])  # (q, C, r + 1)
        yield Regressions(basis @ solved[:, :, :-1].mT, solved[:, :, -1])


class _Lot:
    """The regressions of k pixels, as functions of C·(r + 1) numbers each: class by class, intercepts last."""

    def __init__(self, x: Tensor, labels: Tensor, classes: int) -> None:
        self.x, self.squares, self.classes = x, x.square(), classes
        self.labels = labels.contiguous()  # (k, n)
        self.count = (labels >= 0).sum(1).clamp(min=1)[:, None, None].float()  # (k, 1, 1)
        self.points = torch.zeros(len(labels), classes * x.shape[1])
        self.penalty = torch.zeros(len(labels), 1, x.shape[1])

    def solve(self, inverse_penalty: float) -> Tensor:
        """(k, C, r + 1), found from where the last call ended."""
        self.penalty[:, :, :-1] = 1 / (inverse_penalty * self.count)
        self.points = minimise(self.objective, self.curvature, self.points, tolerance=_TOLERANCE)
        return torch.unflatten(self.points, 1, (self.classes, -1))

    def objective(self, points: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Values (k,) and gradients (k, C·(r + 1)) of the regressions numbered `chosen`."""
        weights, logits, seen = self._at(points, chosen)
        labels = self.labels[chosen][:, None].clamp(min=0)
        logged = logits.log_softmax(dim=1)
        losses = -logged.gather(1, labels).mul_(seen).sum((1, 2))
        residual = logged.exp_().scatter_add_(1, labels, torch.full_like(seen, -1)).mul_(seen)
        count, shrink = self.count[chosen], self.penalty[chosen] * weights
        slopes = (residual.flatten(0, 1) @ self.x).reshape(weights.shape) / count + shrink
        return losses / count[:, 0, 0] + (shrink * weights).sum((1, 2)) / 2, slopes.flatten(1)

    def curvature(self, points: Tensor, chosen: Tensor) -> Tensor:
        """Diagonals of the Hessians, as the gradients; never 0."""
        weights, logits, seen = self._at(points, chosen)
        shares = logits.softmax(dim=1)
        bends = (shares * (1 - shares) * seen).flatten(0, 1) @ self.squares
        return (bends.reshape(weights.shape) / self.count[chosen] + self.penalty[chosen] + 1e-12).flatten(1)

    def _at(self, points: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights (k, C, r + 1), logits (k, C, n), and 1 where a pixel has a label, (k, 1, n)."""
        weights = torch.unflatten(points, 1, (self.classes, -1))
        logits = torch.unflatten(weights.flatten(0, 1) @ self.x.T, 0, (-1, self.classes))
        return weights, logits, (self.labels[chosen] >= 0)[:, None].float()
