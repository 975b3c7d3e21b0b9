import torch

from croma.evaluation import linear, mlp
from croma.evaluation.problem import Part, Problem
from croma.evaluation.spec import Linear, Mlp
from tests.evaluation.contract import ProbeContract, accuracy


class TestMlp(ProbeContract):
    spec = Mlp(hidden=64, learning_rates=(1e-2,), epochs=15)
    predict = staticmethod(mlp.predict)


def test_it_learns_what_no_line_can_divide() -> None:
    """Exclusive or: opposite quadrants share a class."""
    generator = torch.Generator().manual_seed(0)

    def part(n: int) -> Part:
        features = torch.randn(n, 2, generator=generator)
        return Part(features, (features[:, 0] * features[:, 1] > 0).long())

    task = Problem(fit=part(600), select=part(200), score=part(400), classes=2)
    assert accuracy(linear.predict(task, Linear(), 0), task.score.labels) < 0.65
    assert accuracy(mlp.predict(task, TestMlp.spec, 0), task.score.labels) > 0.95


def test_the_best_epoch_of_the_best_rate_is_kept() -> None:
    """A rate that diverges is tried and not chosen; on noise an early epoch wins."""
    generator = torch.Generator().manual_seed(0)
    fit, select, score = (
        Part(torch.randn(80, 20, generator=generator), torch.randint(3, (80,), generator=generator)) for _ in range(3)
    )
    spec = Mlp(hidden=64, learning_rates=(1e-3, 10.0), epochs=25)
    note = mlp.predict(Problem(fit=fit, select=select, score=score, classes=3), spec, 0).note
    assert note.startswith("rate=0.001 ")
    assert int(note.partition("epoch=")[2]) < 25


def test_seeds_differ() -> None:
    generator = torch.Generator().manual_seed(0)
    part = Part(torch.randn(40, 4, generator=generator), torch.randint(2, (40,), generator=generator))
    task = Problem(fit=part, select=part, score=part, classes=2)
    first, second = (mlp.predict(task, TestMlp.spec, seed).scores for seed in (0, 1))
    assert (first != second).any()
