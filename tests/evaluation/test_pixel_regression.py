"""Linear heads, solved: each pixel's regression is scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from croma.evaluation import pixel_regression
from croma.evaluation.pixel_regression import regress_pixels

PENALTIES = (0.01, 1.0)


def patches(classes: int) -> tuple[Tensor, Tensor]:
    """Features (400, 6) and the classes of 4 pixels, which depend on them and on chance; some pixels have no label."""
    draw = torch.Generator().manual_seed(classes)
    features = torch.randn(400, 6, generator=draw)
    worth = features @ torch.randn(6, 4 * classes, generator=draw) + torch.randn(400, 4 * classes, generator=draw)
    labels = worth.unflatten(1, (4, classes)).argmax(2)
    labels[torch.rand(400, 4, generator=draw) < 0.2] = -1
    features = (features - features.mean(0)) / features.std(0, correction=0)
    return features, labels


@pytest.mark.parametrize("classes", [2, 3])
def test_each_pixel_has_scikit_learn_s_regression(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = patches(classes)
    monkeypatch.setattr(pixel_regression, "_LARGE", 400 * classes * 3)  # two lots, the second of one pixel
    for penalty, found in zip(PENALTIES, regress_pixels(features, labels, classes, PENALTIES), strict=True):
        logits = torch.einsum("nd,qdc->nqc", features, found.weights) + found.intercepts
        for pixel in range(4):
            seen = labels[:, pixel] >= 0
            ours = logits[:, pixel].softmax(1)
            # Two classes are one logit in scikit-learn, and two that share the penalty here.
            theirs = LogisticRegression(C=penalty * (2 if classes == 2 else 1), tol=1e-8, max_iter=1000)
            theirs.fit(features[seen].numpy(), labels[seen, pixel].numpy())
            np.testing.assert_allclose(ours.numpy(), theirs.predict_proba(features.numpy()), atol=0.01)


def test_a_class_that_a_pixel_never_has_is_never_said_of_it() -> None:
    features, labels = patches(3)
    labels[labels[:, 1] == 2, 1] = 0
    *_, found = regress_pixels(features, labels, 3, PENALTIES)
    said = (torch.einsum("nd,qdc->nqc", features, found.weights) + found.intercepts).argmax(2)
    assert not (said[:, 1] == 2).any()
    assert (said[:, 0] == 2).any()
