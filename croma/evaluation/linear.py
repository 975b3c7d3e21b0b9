"""Linear probe: logistic regression for every penalty of a sweep, all solved in one batched fit.

The problem is scikit-learn's: mean cross-entropy + |W|² / (2·C·n), intercept not penalised. It is solved in the basis
of the principal components, scaled by Böhning's bound on the Hessian (1992), where it is nearly round; a limited-memory
quasi-Newton method then needs tens of steps, and one matrix product serves all penalties.

Legend: n chips, d features, C classes, m penalties.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from croma.evaluation.lbfgs import minimise
from croma.evaluation.problem import Part, Prediction, Problem, standardise, targets
from croma.evaluation.spec import Linear


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
    y = targets(part.labels, classes)
    basis = _basis(part.features)
    x = torch.cat([part.features @ basis, torch.ones(len(y), 1)], dim=1)  # (n, r + 1), intercept last
    penalty = torch.tensor([1 / (c * len(y)) for c in inverse_penalties])[:, None].repeat(1, x.shape[1])
    penalty[:, -1] = 0
    several = part.labels.ndim == 2
    # Böhning: the Hessian of a softmax lies under XᵀX / 2n, of a sigmoid under XᵀX / 4n; XᵀX is diagonal here.
    curvature = x.square().mean(0) * (0.25 if several else 0.5) + penalty  # (m, r + 1)
    scale = curvature.clamp(min=1e-12).rsqrt()[:, :, None]

    def objective(points: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        return _objective(points, x, y, scale[chosen], penalty[chosen], several)

    start = torch.zeros(len(penalty), x.shape[1] * classes)
    found = minimise(objective, start).reshape(-1, x.shape[1], classes) * scale
    return Fit(basis @ found[:, :-1], found[:, -1])


def _objective(
    points: Tensor, x: Tensor, y: Tensor, scale: Tensor, penalty: Tensor, several: bool
) -> tuple[Tensor, Tensor]:
    """Values (m,) and gradients (m, p·C) of the scaled problem at `points` (m, p·C)."""
    models, classes = len(points), y.shape[1]
    weights = points.reshape(models, -1, classes) * scale  # (m, p, C)
    logits = (x @ weights.transpose(0, 1).flatten(1)).reshape(-1, models, classes)  # (n, m, C)
    if several:
        losses = binary_cross_entropy_with_logits(logits, y[:, None].expand_as(logits), reduction="none").sum(2)
        residual = logits.sigmoid() - y[:, None]
    else:
        logged = logits.log_softmax(dim=2)
        losses, residual = -(logged * y[:, None]).sum(2), logged.exp() - y[:, None]
    slopes = (x.T @ residual.flatten(1)).reshape(-1, models, classes).transpose(0, 1) / len(x)  # (m, p, C)
    shrink = penalty[:, :, None] * weights
    values = losses.mean(0) + (shrink * weights).sum((1, 2)) / 2
    return values, ((slopes + shrink) * scale).flatten(1)


def _basis(features: Tensor) -> Tensor:
    """(d, r): principal components that vary at all. Dropping the others changes nothing: their weights would be 0."""
    values, vectors = torch.linalg.eigh((features.T @ features).double())
    kept = values > values.max().clamp(min=1e-12) * 1e-9
    basis: Tensor = vectors[:, kept].float()
    return basis


def _loss(logits: Tensor, part: Part) -> Tensor:
    if part.labels.ndim == 1:
        return cross_entropy(logits, part.labels)
    return binary_cross_entropy_with_logits(logits, part.labels.float())
