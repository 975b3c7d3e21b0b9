import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from croma.evaluation import sparse
from croma.evaluation.problem import Part, Problem
from croma.evaluation.spec import Sparse

ONE_BLOCK = np.ones((1, 1))


def measure(task: Problem, **spec: object) -> dict[str, float]:
    block = np.zeros(len(task.score.labels), np.int64)
    found = sparse.measure(task, Sparse.model_validate(spec), block, ONE_BLOCK)
    return {name: float(values[0]) for name, values in found.items()}


def telling(n: int, generator: torch.Generator) -> Part:
    """Dimension 5 + c knows class c alone, not without noise; the others know nothing."""
    labels = torch.randint(3, (n,), generator=generator)
    features = torch.randn(n, 20, generator=generator)
    features[torch.arange(n), 5 + labels] += 4
    return Part(features, labels)


@pytest.fixture(scope="module")
def task() -> Problem:
    generator = torch.Generator().manual_seed(0)
    return Problem(
        fit=telling(400, generator), select=telling(200, generator), score=telling(400, generator), classes=3
    )


def test_the_telling_dimension_of_each_class_is_found(task: Problem) -> None:
    for number in range(3):
        assert sparse.best_dimensions(task.fit, task.fit.labels == number, 1).tolist() == [5 + number]


def test_one_dimension_tells_and_more_tell_better(task: Problem) -> None:
    found = measure(task, dimensions=(1, 3, 20))
    assert list(found) == ["f1-k1", "f1-k3", "f1-k20"]
    assert found["f1-k1"] > 0.9
    assert found["f1-k3"] > found["f1-k1"]


def test_noise_tells_no_more_than_always_yes() -> None:
    generator = torch.Generator().manual_seed(1)
    fit, select, score = (
        Part(torch.randn(600, 8, generator=generator), torch.randint(3, (600,), generator=generator)) for _ in range(3)
    )
    always = np.mean([f1_score(score.labels == c, np.ones(600)) for c in range(3)])
    assert measure(Problem(fit=fit, select=select, score=score, classes=3))["f1-k4"] == pytest.approx(always, abs=0.05)


def test_the_threshold_is_the_best_of_all() -> None:
    generator = np.random.default_rng(0)
    truth, scores = generator.random(60) < 0.3, np.round(generator.random(60), 1)
    chosen = f1_score(truth, scores >= sparse.best_threshold(truth, scores))
    assert chosen == pytest.approx(max(f1_score(truth, scores >= each) for each in scores))
    assert sparse.best_threshold(np.zeros(3, bool), np.arange(3.0)) == 0.0


def test_several_labels_a_chip(task: Problem) -> None:
    several = Problem(
        fit=task.fit._replace(labels=torch.nn.functional.one_hot(task.fit.labels).bool()),
        select=task.select._replace(labels=torch.nn.functional.one_hot(task.select.labels).bool()),
        score=task.score._replace(labels=torch.nn.functional.one_hot(task.score.labels).bool()),
        classes=3,
    )
    assert measure(several) == measure(task)
