"""Cross-modal retrieval: how well radar finds the optical image of its own ground among all others, and back.

The two sensors' embeddings live in spaces of their own (the heads that pretraining aligned are not released), so a
ridge regression from one to the other is fitted on the fit split and its penalty chosen on the selection split. Needs
no labels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from croma.evaluation import metrics
from croma.evaluation.bootstrap import Draws
from croma.evaluation.spec import Retrieval

_CHUNK = 2048


class Pairs(NamedTuple):
    """Embeddings of the same chips by two sensors."""

    asking: Tensor
    """float32 (n, d)."""
    answering: Tensor
    """float32 (n, e)."""


class Found(NamedTuple):
    """How the scored chips were ranked."""

    ranks: Tensor
    """int64 (n,). How many other chips stood before the right one; 0 is a hit."""
    note: str


def rank(fit: Pairs, select: Pairs, score: Pairs, spec: Retrieval) -> Found:
    """Where the right answer stands for every scored chip, by the penalty with the best mean reciprocal rank."""
    asked, answering, penalty = _asked(fit, select, score, spec)
    return Found(_ranks(asked, answering), f"penalty={penalty:g}")


def nearest(fit: Pairs, select: Pairs, score: Pairs, spec: Retrieval, rows: Sequence[int], count: int) -> Tensor:
    """Int64 (rows, count): the scored chips whose answers are nearest to what `rows` ask, nearest first."""
    asked, answering, _ = _asked(fit, select, score, spec)
    similarity = normalize(asked[list(rows)], dim=1) @ normalize(answering, dim=1).T
    return similarity.topk(min(count, len(answering)), dim=1).indices


def _asked(fit: Pairs, select: Pairs, score: Pairs, spec: Retrieval) -> tuple[Tensor, Tensor, float]:
    """Scored chips in the space of the answers, the answers, and the penalty of the map that brought them there."""
    fit, select, score = _standardise(fit, fit), _standardise(select, fit), _standardise(score, fit)
    maps = _ridges(fit, spec.penalties)
    worth = [float((1 / (1 + _ranks(select.asking @ each, select.answering))).mean()) for each in maps]
    best = max(range(len(maps)), key=worth.__getitem__)
    return score.asking @ maps[best], score.answering, spec.penalties[best]


def measure(found: Found, spec: Retrieval, block: metrics.Ints, draws: Draws) -> metrics.Values:
    """`recall-at-k` for every k of the spec, and the mean reciprocal rank `mrr`."""
    values = {
        f"recall-at-{k}": metrics.average((found.ranks < k).double().numpy(), block, draws) for k in spec.recall_at
    }
    return {**values, "mrr": metrics.average((1 / (1 + found.ranks.double())).numpy(), block, draws)}


def _standardise(pairs: Pairs, fit: Pairs) -> Pairs:
    """Features scaled by the fit split, so that no sensor's units weigh more."""
    scaled = []
    for vectors, known in zip(pairs, fit, strict=True):
        std = known.std(0, correction=0)
        scaled.append((vectors - known.mean(0)) * torch.where(std > 1e-9, 1 / std, 0.0))
    return Pairs(*scaled)


def _ridges(fit: Pairs, penalties: tuple[float, ...]) -> list[Tensor]:
    """Maps (d, e) that minimise mean |asking · M - answering|² + penalty |M|², by one eigendecomposition."""
    x, y = fit.asking.double(), fit.answering.double()
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    turned = vectors.T @ (x.T @ y) / len(x)
    return [(vectors @ (turned / (values.clamp(min=0) + penalty)[:, None])).float() for penalty in penalties]


def _ranks(asked: Tensor, answering: Tensor) -> Tensor:
    """How many answers are at least as near, by cosine, as the right one; ties count against us."""
    asked, answering = normalize(asked, dim=1), normalize(answering, dim=1)
    ranks = []
    for start in range(0, len(asked), _CHUNK):
        similarity = asked[start : start + _CHUNK] @ answering.T
        right = similarity.diagonal(start)[:, None]
        ranks.append((similarity >= right).sum(1) - 1)
    return torch.cat(ranks)
