"""Sparse probing: how well each class can be told from k dimensions alone (Gurnee et al. 2023).

Dimensions are ranked by the difference of class means on the fit split, a logistic regression sees the first k, and the
selection split chooses the threshold.
"""

import numpy as np
from torch import Tensor

from croma.evaluation import metrics
from croma.evaluation.bootstrap import Draws
from croma.evaluation.linear import fit_sweep
from croma.evaluation.problem import Part, Problem, standardise, targets
from croma.evaluation.spec import Sparse


def measure(problem: Problem, spec: Sparse, block: metrics.Ints, draws: Draws) -> metrics.Values:
    """`f1-k4`: the F1 of each class told from others by 4 dimensions, averaged over classes; for every k of `spec`."""
    problem = standardise(problem)
    truth = targets(problem.score.labels, problem.classes).bool().numpy()
    found = {}
    for k in spec.dimensions:
        columns = [_decide(problem, number, k, spec.inverse_penalty) for number in range(problem.classes)]
        said = np.stack(columns, axis=1).astype(float)
        found[f"f1-k{k}"] = metrics.multilabel(truth, said, 0.5, block, draws)["f1-macro"]
    return found


def best_dimensions(part: Part, is_class: Tensor, k: int) -> Tensor:
    """Numbers (k,) of the standardised features whose means differ most between a class, bool (n,), and the rest."""
    difference = part.features[is_class].mean(0) - part.features[~is_class].mean(0)
    return difference.abs().nan_to_num().topk(min(k, len(difference))).indices


def _decide(problem: Problem, number: int, k: int, inverse_penalty: float) -> np.ndarray:
    """Bool (n,): chips of the score split said to be of a class."""

    def one(part: Part) -> Tensor:
        return targets(part.labels, problem.classes)[:, number].bool()

    chosen = best_dimensions(problem.fit, one(problem.fit), k)
    fit = fit_sweep(Part(problem.fit.features[:, chosen], one(problem.fit)[:, None]), 1, (inverse_penalty,))
    select, score = (fit.logits(part.features[:, chosen])[0, :, 0] for part in (problem.select, problem.score))
    threshold = best_threshold(one(problem.select).numpy(), select.numpy())
    return np.asarray(score.numpy() >= threshold)


def best_threshold(truth: np.ndarray, scores: np.ndarray) -> float:
    """The score from which saying yes gives the highest F1; 0 (even odds) where nothing is true."""
    if not truth.any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    f1 = 2 * hits / (truth.sum() + np.arange(1, len(truth) + 1))
    f1[:-1][scores[order][:-1] == scores[order][1:]] = 0  # a threshold cannot lie between equal scores
    return float(scores[order][f1.argmax()])
