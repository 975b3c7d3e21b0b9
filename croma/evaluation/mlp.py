"""Nonlinear probe: one hidden layer, trained at several rates, stopped where the selection split is served best."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from croma.evaluation.problem import Part, Prediction, Problem, standardise
from croma.evaluation.spec import Mlp


class _Best(NamedTuple):
    loss: float
    logits: Tensor
    note: str


def predict(problem: Problem, spec: Mlp, seed: int) -> Prediction:
    """Probabilities of the network, of all rates and epochs, with the lowest cross-entropy on the selection split."""
    problem = standardise(problem)
    best = min((_train(problem, spec, rate, seed) for rate in spec.learning_rates), key=lambda found: found.loss)
    return Prediction(best.logits.sigmoid() if problem.several else best.logits.softmax(dim=1), best.note)


def _train(problem: Problem, spec: Mlp, rate: float, seed: int) -> _Best:
    generator = torch.Generator().manual_seed(seed)
    model = _network(problem.fit.features.shape[1], spec.hidden, problem.classes, generator)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=spec.weight_decay)
    best = _Best(float("inf"), torch.zeros(0), "")
    for epoch in range(1, spec.epochs + 1):
        for rows in _batches(len(problem.fit.labels), spec.batch, generator):
            optimiser.zero_grad()
            _loss(model(problem.fit.features[rows]), problem.fit.labels[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            loss = _part_loss(model, problem.select)
            if loss < best.loss:
                best = _Best(loss, model(problem.score.features), f"rate={rate:g} epoch={epoch}")
    return best


def _network(features: int, hidden: int, classes: int, generator: torch.Generator) -> nn.Sequential:
    """Kaiming-uniform weights from `generator`, intercepts 0."""
    model = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, classes))
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=generator)
            nn.init.zeros_(layer.bias)
    return model


def _batches(n: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    yield from torch.split(torch.randperm(n, generator=generator), size)


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    if labels.ndim == 1:
        return cross_entropy(logits, labels)
    return binary_cross_entropy_with_logits(logits, labels.float())


def _part_loss(model: nn.Module, part: Part) -> float:
    return float(_loss(model(part.features), part.labels))
