import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch.nn.functional import normalize

from croma.evaluation import knn
from croma.evaluation.problem import Part, Problem
from croma.evaluation.spec import Knn
from tests.evaluation.contract import ProbeContract, problem


class TestKnn(ProbeContract):
    spec = Knn()
    predict = staticmethod(knn.predict)


def test_equals_scikit_learn_with_the_same_weights() -> None:
    task = problem("noise")
    reference = KNeighborsClassifier(n_neighbors=7, weights=lambda distance: np.exp((1 - distance**2 / 2) / 0.1))
    reference.fit(normalize(task.fit.features).numpy(), task.fit.labels.numpy())
    expected = reference.predict_proba(normalize(task.score.features).numpy())
    found = knn.predict(task, Knn(k=7, temperature=0.1), 0).scores
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32), rtol=1e-4, atol=1e-5)


def test_several_labels_are_votes_of_their_own() -> None:
    fit = Part(torch.tensor([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.0]]), torch.tensor([[1, 1], [1, 0], [0, 1]]).bool())
    score = Part(torch.tensor([[1.0, 0.0]]), torch.tensor([[1, 0]]).bool())
    found = knn.predict(Problem(fit=fit, select=score, score=score, classes=2), Knn(k=2, temperature=1e6), 0)
    torch.testing.assert_close(found.scores, torch.tensor([[1.0, 0.5]]))


def test_in_pieces_equals_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    task = problem("noise")
    whole = knn.predict(task, Knn(), 0).scores
    monkeypatch.setattr(knn, "_CHUNK", 7)
    torch.testing.assert_close(knn.predict(task, Knn(), 0).scores, whole)


def test_fewer_chips_than_neighbours() -> None:
    task = problem("separable", size=8)
    assert knn.predict(task, Knn(k=20), 0).note == "k=8"
