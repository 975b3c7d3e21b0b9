from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from croma.errors import InputError
from croma.evaluation import retrieval, suite
from croma.evaluation.gate import Gate
from croma.evaluation.labels import make_task
from croma.evaluation.retrieval import Pairs, nearest
from croma.evaluation.spec import EvalSpec, Knn, Retrieval
from croma.shards.dataset import Dataset
from croma.shards.ref import DatasetRef

ONE_BLOCK = np.ones((1, 1))


def related(n: int, noise: float, seed: int = 0) -> Pairs:
    """What both sensors see of a hidden scene of 6 numbers, each through a map of its own."""
    fixed = torch.Generator().manual_seed(99)
    maps = [torch.randn(6, dim, generator=fixed) for dim in (10, 14)]
    generator = torch.Generator().manual_seed(seed)
    scene = torch.randn(n, 6, generator=generator)
    return Pairs(*(scene @ each + noise * torch.randn(n, each.shape[1], generator=generator) for each in maps))


def values(score: Pairs, fit: Pairs) -> dict[str, float]:
    found = retrieval.rank(fit, related(60, 0.1, 5), score, Retrieval())
    block = np.zeros(len(score.asking), np.int64)
    return {name: float(each[0]) for name, each in retrieval.measure(found, Retrieval(), block, ONE_BLOCK).items()}


def test_perfect_where_one_sensor_says_what_the_other_sees() -> None:
    found = values(related(200, 0.01, 2), related(200, 0.01, 1))
    assert found["recall-at-1"] >= 0.98
    assert found["recall-at-1"] <= found["recall-at-5"] <= 1


def test_chance_on_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = Pairs(torch.randn(400, 10, generator=generator), torch.randn(400, 14, generator=generator))
    assert values(noise, noise._replace(asking=noise.asking.flip(0)))["recall-at-5"] < 0.05


def test_a_constant_embedding_never_hits() -> None:
    """All answers tie, and ties count against us."""
    flat = Pairs(torch.zeros(50, 10), torch.zeros(50, 14))
    assert values(flat, flat)["recall-at-5"] == 0


def test_the_regression_equals_scikit_learn() -> None:
    fit = related(80, 0.5)
    reference = Ridge(alpha=0.3 * 80, fit_intercept=False).fit(fit.asking.double(), fit.answering.double())
    (found,) = retrieval._ridges(fit, (0.3,))
    np.testing.assert_allclose(found.numpy(), reference.coef_.T, atol=1e-4)


def test_ranks_equal_a_count_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = related(30, 1.0)
    asked, answering = pairs.asking[:, :10], pairs.answering[:, :10]
    cosine = torch.nn.functional.cosine_similarity(asked[:, None], answering[None], dim=2)
    expected = [(row > row[number]).sum() for number, row in enumerate(cosine)]
    monkeypatch.setattr(retrieval, "_CHUNK", 7)
    assert retrieval._ranks(asked, answering).tolist() == expected


def test_a_dataset_without_labels_can_be_evaluated_by_retrieval_alone(
    tiny: Dataset, tiny_ref: DatasetRef, weights: Path, tmp_path: Path
) -> None:
    bare = replace(tiny, header=tiny.header.model_copy(update={"label": False}))
    spec = EvalSpec(
        protocols=(Retrieval(),), modalities=("radar", "joint"), baselines=("band-statistics",), gate=Gate(beats=())
    )
    assert make_task(bare, spec).classes == ("unlabelled",)
    with pytest.raises(InputError, match="`retrieval` alone"):
        make_task(bare, EvalSpec(protocols=(Retrieval(), Knn())))
    card = suite.evaluate(spec, str(weights), tiny_ref, str(tmp_path), name="demo")
    assert {score.key for score in card.scores} == {
        f"retrieval/radar/{metric}" for metric in ("recall-at-1", "recall-at-5", "mrr")
    }


def test_the_nearest_are_those_that_rank_before_others() -> None:
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(60, 6, generator=generator)
    pairs = Pairs(shared @ torch.randn(6, 8, generator=generator), shared @ torch.randn(6, 5, generator=generator))
    fit, score = Pairs(*(each[:40] for each in pairs)), Pairs(*(each[40:] for each in pairs))
    found = nearest(fit, score, score, Retrieval(), [3, 11], 5)
    assert found.shape == (2, 5)
    assert found[:, 0].tolist() == [3, 11]
    assert nearest(fit, score, score, Retrieval(), [0], 99).shape == (1, 20)
