"""Few labels: how many of each class, and which."""

import pytest
import torch

from croma.evaluation.problem import Part, Problem, with_few
from tests.evaluation.contract import problem


def rows_of(few: Problem, whole: Problem) -> set[tuple[float, ...]]:
    rows = {tuple(row.tolist()) for row in few.fit.features}
    assert rows <= {tuple(row.tolist()) for row in whole.fit.features}
    return rows


@pytest.mark.parametrize("several", [False, True])
def test_every_class_keeps_its_share(several: bool) -> None:
    whole = problem("noise", several=several)
    few = with_few(whole, 0.1, 0)
    labels = [part.labels if part.labels.ndim == 1 else part.labels.int().argmax(1) for part in (whole.fit, few.fit)]
    counts = [torch.bincount(each, minlength=4) for each in labels]
    assert counts[1].tolist() == [max(1, round(count * 0.1)) for count in counts[0].tolist()]
    assert few.select is whole.select
    assert few.score is whole.score


def test_a_share_too_small_for_a_chip_keeps_one_of_every_class() -> None:
    assert torch.unique(with_few(problem("noise"), 0.001, 0).fit.labels).tolist() == [0, 1, 2, 3]


def test_seeds_draw_their_own_chips_and_small_shares_lie_within_large_ones() -> None:
    whole = problem("noise")
    first, again, other = (rows_of(with_few(whole, 0.2, seed), whole) for seed in (0, 0, 1))
    assert first == again != other
    assert rows_of(with_few(whole, 0.05, 0), whole) < first


def test_features_stay_with_their_labels() -> None:
    numbers = torch.arange(40)
    part = Part(numbers[:, None].float(), numbers % 4)
    few = with_few(Problem(fit=part, select=part, score=part, classes=4), 0.3, 0).fit
    assert torch.equal(few.features[:, 0].long() % 4, few.labels)


def test_all_labels_change_nothing() -> None:
    whole = problem("noise")
    assert with_few(whole, 1.0, 5) is whole
