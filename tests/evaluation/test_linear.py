import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from croma.evaluation import lbfgs, linear
from croma.evaluation.problem import Part, Problem, standardise
from croma.evaluation.spec import Linear
from tests.evaluation.contract import ProbeContract, problem

SWEEP = (1e-3, 1e-1, 10.0)


class TestLinear(ProbeContract):
    spec = Linear()
    predict = staticmethod(linear.predict)


def correlated(n: int, several: bool = False) -> Part:
    """Ill-conditioned features, as embeddings are: a few directions carry nearly everything."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(n, 24, generator=generator) * torch.logspace(0, -3, 24)
    features = features @ torch.linalg.qr(torch.randn(24, 24, generator=generator))[0]
    features = (features - features.mean(0)) / features.std(0)
    logits = features @ torch.randn(24, 5, generator=generator) + torch.randn(n, 5, generator=generator)
    return Part(features, logits > 1 if several else logits.argmax(1))


def test_every_penalty_of_the_sweep_equals_scikit_learn() -> None:
    part = correlated(300)
    found = linear.fit_sweep(part, 5, SWEEP).logits(part.features).softmax(2)
    for number, c in enumerate(SWEEP):
        reference = LogisticRegression(C=c, max_iter=10_000, tol=1e-8)
        reference.fit(part.features.double().numpy(), part.labels.numpy())
        expected = reference.predict_proba(part.features.double().numpy())
        np.testing.assert_allclose(found[number].numpy(), expected, atol=4e-3)


def test_several_labels_equal_one_regression_a_class() -> None:
    part = correlated(300, several=True)
    found = linear.fit_sweep(part, 5, SWEEP).logits(part.features).sigmoid()
    for number, c in enumerate(SWEEP):
        for label in range(5):
            reference = LogisticRegression(C=c, max_iter=10_000, tol=1e-8)
            reference.fit(part.features.double().numpy(), part.labels[:, label].numpy())
            expected = reference.predict_proba(part.features.double().numpy())[:, 1]
            np.testing.assert_allclose(found[number, :, label].numpy(), expected, atol=4e-3)


def test_the_selection_split_chooses_the_penalty() -> None:
    """With many features and few chips, strong penalties generalise; the fit split alone would choose the weakest."""
    task = problem("noise", size=60, dim=100)
    assert linear.predict(task, Linear(inverse_penalties=(1e-4, 1e3)), 0).note == "C=0.0001"


def test_more_features_than_chips_and_a_copy_of_a_feature() -> None:
    task = problem("separable", size=20, dim=64)
    doubled = [
        part._replace(features=torch.cat([part.features, part.features[:, :3]], dim=1))
        for part in (task.fit, task.select, task.score)
    ]
    found = linear.predict(Problem(fit=doubled[0], select=doubled[1], score=doubled[2], classes=4), Linear(), 0)
    assert (found.scores.argmax(1) == task.score.labels).float().mean() > 0.9


def test_standardised_features_and_a_constant_one() -> None:
    part = Part(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.tensor([0, 1]))
    scaled = standardise(Problem(fit=part, select=part, score=part, classes=2))
    torch.testing.assert_close(scaled.score.features, torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))


@pytest.mark.parametrize("condition", [1.0, 1e3])
def test_minimise_solves_quadratics_of_any_shape_side_by_side(condition: float) -> None:
    generator = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(3, 12, 12, generator=generator, dtype=torch.float64))[0]
    matrices = axes @ torch.diag_embed(torch.logspace(0, np.log10(condition), 12, dtype=torch.float64)) @ axes.mT
    goals = torch.randn(3, 12, generator=generator, dtype=torch.float64)

    def objective(points: torch.Tensor, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gap = points - goals[chosen]
        slopes = torch.einsum("kij,kj->ki", matrices[chosen], gap)
        return (gap * slopes).sum(1) / 2, slopes

    def curvature(points: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        return matrices[chosen].diagonal(dim1=1, dim2=2)

    found = lbfgs.minimise(objective, curvature, torch.zeros(3, 12, dtype=torch.float64), tolerance=1e-16)
    torch.testing.assert_close(found, goals, rtol=1e-6, atol=1e-6)


def test_minimise_stops_at_its_limit_and_where_nothing_moves() -> None:
    def flat(points: torch.Tensor, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.ones(len(points)).double(), torch.ones_like(points)

    def one(points: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(points)

    start = torch.zeros(2, 3).double()
    torch.testing.assert_close(lbfgs.minimise(flat, one, start), start)

    def steep(points: torch.Tensor, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return points.sum(1), torch.ones_like(points)

    assert (lbfgs.minimise(steep, one, start, steps=4) < start).all()
