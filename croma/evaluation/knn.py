"""k nearest neighbours: what the embedding says without learning anything.

Weighted as in DINO (Caron et al. 2021): cosine similarity, votes exp(similarity / temperature). With several labels a
chip, every class is a yes-or-no vote of its own.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from croma.evaluation.problem import Prediction, Problem, targets
from croma.evaluation.spec import Knn

_CHUNK = 2048


def predict(problem: Problem, spec: Knn, seed: int) -> Prediction:  # noqa: ARG001 nothing is drawn
    """Share of the votes for each class, (n, C). k is cut to the size of the fit split."""
    known = normalize(problem.fit.features, dim=1)
    votes = targets(problem.fit.labels, problem.classes)
    asked = normalize(problem.score.features, dim=1)
    k = min(spec.k, len(known))
    pieces = [_vote(piece, known, votes, k, spec.temperature) for piece in torch.split(asked, _CHUNK)]
    return Prediction(torch.cat(pieces), f"k={k}")


def _vote(asked: Tensor, known: Tensor, votes: Tensor, k: int, temperature: float) -> Tensor:
    similarity, nearest = (asked @ known.T).topk(k, dim=1)
    weights = (similarity / temperature).softmax(dim=1)
    return torch.einsum("nk,nkc->nc", weights, votes[nearest])
