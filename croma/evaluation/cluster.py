"""k-means: what groups the embedding makes by itself. Clusters become classes by the best one-to-one matching.

Both the clusters and the matching are made on the fit split; the score split is only assigned to them.
"""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans as Clustering
from torch.nn.functional import normalize, one_hot

from croma.errors import InputError
from croma.evaluation.problem import Prediction, Problem
from croma.evaluation.spec import KMeans


def predict(problem: Problem, spec: KMeans, seed: int) -> Prediction:
    """One-hot classes of the clusters that chips fall into, by cosine.

    Raises:
        InputError: there are fewer chips to fit than classes.
    """
    fit, score = (normalize(part.features, dim=1).numpy() for part in (problem.fit, problem.score))
    if len(fit) < problem.classes:
        raise InputError(f"k-means of {problem.classes} clusters needs as many chips; the fit split has {len(fit)}")
    clustering = Clustering(problem.classes, n_init=spec.starts, random_state=seed).fit(fit)
    matched = _match(clustering.labels_, problem.fit.labels.numpy(), problem.classes)
    said = matched[clustering.predict(score)]
    return Prediction(one_hot(torch.from_numpy(said), problem.classes).float(), f"clusters={problem.classes}")


def _match(clusters: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The class of each cluster, (classes,): the matching with the most chips in agreement."""
    counts = np.bincount(clusters * classes + labels, minlength=classes * classes).reshape(classes, classes)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    matched = np.zeros(classes, np.int64)
    matched[rows] = columns
    return matched
