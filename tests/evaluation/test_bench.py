import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from croma.evaluation.bench import class_f1, score_prediction
from croma.evaluation.bootstrap import draw_blocks
from croma.evaluation.spec import Bootstrap

NAMES = ("water", "trees", "town", "never seen")


def test_f1_of_each_class_equals_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    truth, scores = torch.randint(3, (50,), generator=generator).numpy(), torch.rand(50, 4, generator=generator)
    scores[:, 3] = 0
    expected = f1_score(truth, scores.argmax(1), average=None, labels=[0, 1, 2])
    found = class_f1(truth, scores, NAMES)
    assert list(found) == ["water", "trees", "town"]
    np.testing.assert_allclose(list(found.values()), expected)


def test_f1_of_several_labels_a_chip_equals_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    truth, scores = (torch.rand(50, 4, generator=generator) > 0.6).numpy(), torch.rand(50, 4, generator=generator)
    expected = f1_score(truth, scores.numpy() > 0.5, average=None)
    np.testing.assert_allclose(list(class_f1(truth, scores, NAMES).values()), expected)


@pytest.mark.parametrize("several", [False, True])
def test_truth_says_which_metrics_there_are(several: bool) -> None:
    truth = np.array([0, 1, 2])
    truth = np.eye(4, dtype=bool)[truth] if several else truth
    found = score_prediction(truth, torch.eye(4)[:3], 4, np.zeros(3, int), draw_blocks(1, Bootstrap(draws=20)))
    assert ("top1" in found) is not several
    assert ("map-macro" in found) is several
    assert all(values[0] == 1 for values in found.values())
