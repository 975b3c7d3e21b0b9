"""Linear probe: logistic regression for every penalty of a sweep, all solved in one batched fit.

The problem is scikit-learn's: mean cross-entropy + |W|² / (2·C·n), intercept not penalised. It is solved in the basis
of the principal components, where the Hessian is nearly diagonal and its diagonal costs half a gradient; a quasi-Newton
method that begins with it needs tens of steps, and one matrix product serves all penalties.

Legend: n chips, d features, r of their principal components, C classes, m penalties, k of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from croma.evaluation.lbfgs import minimise
from croma.evaluation.problem import Part, Prediction, Problem, standardise, targets
from croma.evaluation.spec import Linear

_MANY = 100_000_000
"""Products in a pass from which threads are worth their while: some milliseconds of one core."""


class Fit(NamedTuple):
    """Logistic regressions, one for each penalty."""

    weights: Tensor
    """(m, d, C)."""
    intercepts: Tensor
    """(m, C)."""

    def logits(self, features: Tensor) -> Tensor:
        """(m, n, C)."""
        return torch.einsum("nd,mdc->mnc", features, self.weights) + self.intercepts[:, None]


def predict(problem: Problem, spec: Linear, seed: int) -> Prediction:  # noqa: ARG001 the optimum is unique
    """Probabilities of the regression whose penalty does best on the selection split, by cross-entropy."""
    problem = standardise(problem)
    fit = fit_sweep(problem.fit, problem.classes, spec.inverse_penalties)
    losses = torch.stack([_loss(logits, problem.select) for logits in fit.logits(problem.select.features)])
    best = int(losses.argmin())
    logits = Fit(fit.weights[best, None], fit.intercepts[best, None]).logits(problem.score.features)[0]
    scores = logits.sigmoid() if problem.several else logits.softmax(dim=1)
    return Prediction(scores, f"C={spec.inverse_penalties[best]:g}")


def fit_sweep(part: Part, classes: int, inverse_penalties: tuple[float, ...]) -> Fit:
    """The regressions of all penalties. Features should be standardised."""
    with _threads(part.features.numel() * classes * len(inverse_penalties)):
        basis = principal_basis(part.features)
        problem = _Sweep(part, classes, basis, inverse_penalties)
        found = minimise(problem.objective, problem.curvature, problem.start)
    weights = found.reshape(-1, classes, basis.shape[1] + 1).mT  # (m, r + 1, C)
    return Fit(basis @ weights[:, :-1], weights[:, -1])


@contextmanager
def _threads(products: int) -> Iterator[None]:
    """One thread where a pass has few products: several would mostly wait for each other, on busy cores for seconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if products < _MANY else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Sweep:
    """The regressions as a family of functions of (r + 1)·C numbers each: class by class, intercepts last.

    Chips stand last in every array between: reducing over a handful of classes is fast only across rows.
    """

    def __init__(self, part: Part, classes: int, basis: Tensor, inverse_penalties: tuple[float, ...]) -> None:
        self.several = part.labels.ndim == 2
        self.y = targets(part.labels, classes).T.contiguous()  # (C, n)
        count = self.y.shape[1]
        self.x = torch.cat([part.features @ basis, torch.ones(count, 1)], dim=1)  # (n, r + 1)
        self.squares = self.x.square()
        penalty = torch.tensor([1 / (c * count) for c in inverse_penalties])[:, None, None]
        self.penalty = penalty.repeat(1, 1, self.x.shape[1])  # (m, 1, r + 1)
        self.penalty[:, :, -1] = 0
        self.start = torch.zeros(len(inverse_penalties), classes * self.x.shape[1])

    def objective(self, points: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Values (k,) and gradients (k, C·(r + 1)) at `points`, of the regressions numbered `chosen`."""
        weights, logits = self._logits(points)
        if self.several:
            losses = binary_cross_entropy_with_logits(logits, self.y.expand_as(logits), reduction="none")
            residual = logits.sigmoid_() - self.y
        else:
            logged = logits.log_softmax(dim=1)
            losses = -logged * self.y
            residual = logged.exp_() - self.y
        shrink = self.penalty[chosen] * weights
        slopes = (residual.flatten(0, 1) @ self.x).reshape(weights.shape) / len(self.x) + shrink
        values = losses.sum(1).mean(1) + (shrink * weights).sum((1, 2)) / 2
        return values, slopes.flatten(1)

    def curvature(self, points: Tensor, chosen: Tensor) -> Tensor:
        """Diagonals of the Hessians, as the gradients; never 0."""
        weights, logits = self._logits(points)
        shares = logits.sigmoid() if self.several else logits.softmax(dim=1)
        bends = (shares * (1 - shares)).flatten(0, 1) @ self.squares / len(self.x)
        return (bends.reshape(weights.shape) + self.penalty[chosen] + 1e-12).flatten(1)

    def _logits(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (k, C, r + 1) and logits (k, C, n)."""
        weights = points.reshape(len(points), len(self.y), -1)
        return weights, (weights.flatten(0, 1) @ self.x.T).reshape(len(points), len(self.y), -1)


def principal_basis(features: Tensor) -> Tensor:
    """(d, r): principal components that vary at all. Dropping the others changes nothing: their weights would be 0."""
    values, vectors = torch.linalg.eigh((features.T @ features).double())
    kept = values > values.max().clamp(min=1e-12) * 1e-9
    basis: Tensor = vectors[:, kept].float()
    return basis


def _loss(logits: Tensor, part: Part) -> Tensor:
    if part.labels.ndim == 1:
        return cross_entropy(logits, part.labels)
    return binary_cross_entropy_with_logits(logits, part.labels.float())
