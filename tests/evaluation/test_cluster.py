import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans as Clustering
from torch.nn.functional import normalize

from croma.errors import InputError
from croma.evaluation import cluster
from croma.evaluation.problem import Part, Problem
from croma.evaluation.spec import EvalSpec, KMeans, PresentClasses
from tests.evaluation.contract import ProbeContract, problem


class TestKMeans(ProbeContract):
    spec = KMeans()
    predict = staticmethod(cluster.predict)
    test_several_labels_a_chip = None


def test_equals_scikit_learn_and_a_matching_by_hand() -> None:
    task = problem("noise")
    reference = Clustering(4, n_init=10, random_state=3).fit(normalize(task.fit.features).numpy())
    agreement = np.array(
        [[np.sum((reference.labels_ == c) & (task.fit.labels.numpy() == y)) for y in range(4)] for c in range(4)]
    )
    _, classes = linear_sum_assignment(-agreement)
    expected = classes[reference.predict(normalize(task.score.features).numpy())]
    found = cluster.predict(task, KMeans(), 3).scores.argmax(1)
    np.testing.assert_array_equal(found, expected)


def test_every_cluster_gets_a_class_of_its_own() -> None:
    """Two clusters of the same class: one of them must take the other class."""
    features = torch.tensor([[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 5 + [[-1.0, 0.0]])
    part = Part(features, torch.tensor([0] * 10 + [1]))
    found = cluster.predict(Problem(fit=part, select=part, score=part, classes=2), KMeans(), 0)
    assert set(found.scores.argmax(1).tolist()) == {0, 1}


def test_too_few_chips_and_several_labels_are_refused() -> None:
    part = Part(torch.eye(3)[:2], torch.tensor([0, 1]))
    with pytest.raises(InputError, match="3 clusters needs as many chips; the fit split has 2"):
        cluster.predict(Problem(fit=part, select=part, score=part, classes=3), KMeans(), 0)
    with pytest.raises(ValueError, match="one class of a chip"):
        EvalSpec(protocols=(KMeans(),), target=PresentClasses())
