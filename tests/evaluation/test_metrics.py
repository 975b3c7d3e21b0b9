import warnings

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as reference

from croma.evaluation import metrics
from croma.evaluation.bootstrap import block_of, draw_blocks, estimate
from croma.evaluation.spec import Bootstrap

BLOCKS = 7


@pytest.fixture
def block() -> np.ndarray:
    return np.random.default_rng(3).integers(0, BLOCKS, 90)


@pytest.fixture
def draws() -> np.ndarray:
    return draw_blocks(BLOCKS, Bootstrap(draws=20))


def written_out(block: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Chip numbers of a draw, each as often as its block was drawn."""
    return np.repeat(np.arange(len(block)), row[block].astype(int))


def test_classification_equals_scikit_learn_on_every_draw(block: np.ndarray, draws: np.ndarray) -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 5, 90)
    predicted = np.where(generator.random(90) < 0.6, truth, generator.integers(0, 6, 90))
    found = metrics.classification(truth, predicted, 6, block, draws)
    for number, row in enumerate(draws):
        chips = written_out(block, row)
        pair = truth[chips], predicted[chips]
        assert found["top1"][number] == pytest.approx(reference.accuracy_score(*pair))
        assert found["macro-f1"][number] == pytest.approx(reference.f1_score(*pair, average="macro"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of classes that are said and never true
            assert found["balanced-accuracy"][number] == pytest.approx(reference.balanced_accuracy_score(*pair))


def test_confusion_gives_the_jaccard_score() -> None:
    generator = np.random.default_rng(1)
    truth, predicted = generator.integers(0, 4, (2, 300))
    matrix = reference.confusion_matrix(truth, predicted)[None].astype(float)
    expected = reference.jaccard_score(truth, predicted, average="macro")
    assert metrics.from_confusion(matrix)["miou"][0] == pytest.approx(expected)


@pytest.mark.parametrize("tied", [False, True])
def test_multilabel_equals_scikit_learn_on_every_draw(block: np.ndarray, draws: np.ndarray, tied: bool) -> None:
    generator = np.random.default_rng(2)
    truth = generator.random((90, 4)) < [0.5, 0.3, 0.6, 0.4]
    scores = truth * 0.3 + generator.random((90, 4))
    scores = np.round(scores, 1) if tied else scores
    found = metrics.multilabel(truth, scores, 0.5, block, draws)
    for number, row in enumerate(draws):
        chips = written_out(block, row)
        pair = truth[chips], scores[chips]
        for kind in ("micro", "macro"):
            expected = reference.average_precision_score(*pair, average=kind)
            assert found[f"map-{kind}"][number] == pytest.approx(expected)
            assert found[f"f1-{kind}"][number] == pytest.approx(
                reference.f1_score(pair[0], pair[1] > 0.5, average=kind)
            )


def test_average_precision_in_pieces_equals_the_whole(block: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(4)
    truth, scores = generator.random(90) < 0.5, generator.random(90)
    draws = draw_blocks(BLOCKS, Bootstrap(draws=50))
    whole = metrics.average_precision(truth, scores, block, draws)
    monkeypatch.setattr(metrics, "_CHUNK", 200)
    np.testing.assert_allclose(metrics.average_precision(truth, scores, block, draws), whole)


def test_a_class_without_a_true_chip_has_no_average_precision() -> None:
    found = metrics.average_precision(np.zeros(3, bool), np.arange(3.0), np.zeros(3, int), np.ones((1, 1)))
    assert np.isnan(found[0])


def test_average_is_weighted_by_draws() -> None:
    draws = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]])
    found = metrics.average(np.array([1.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]), draws)
    np.testing.assert_allclose(found, [0.75, 0.5, 1.0])


def test_blocks_are_squares_of_ground_in_their_zone() -> None:
    rows = pa.table(
        {
            "epsg": [32632, 32632, 32632, 32633, 32632],
            "left": [600_000, 611_999, 612_000, 600_000, -1],
            "top": [5_000_000] * 5,
        }
    )
    numbers = block_of(rows, 12.0)
    assert numbers[0] == numbers[1]
    assert len(set(numbers)) == 4


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """200 worlds of 40 blocks whose chips agree with one another; the mean over worlds is 0.5."""
    spec, covered = Bootstrap(draws=200, level=0.9), 0
    block = np.repeat(np.arange(40), 10)
    for world in range(200):
        generator = np.random.default_rng(world)
        values = np.repeat(generator.random(40) < 0.5, 10).astype(float)
        found = estimate(metrics.average(values, block, draw_blocks(40, spec)), 40, spec.level)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.5 <= found.high
    assert 0.84 <= covered / 200 <= 0.95


def test_one_block_gives_no_interval() -> None:
    assert estimate(np.array([0.5, 0.5]), 1, 0.95) == (0.5, None, None)


def test_draws_are_a_function_of_the_seed_and_take_each_block_once_first() -> None:
    first, again, other = (draw_blocks(9, Bootstrap(draws=20, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first[0] == 1).all()
    assert (first.sum(1) == 9).all()
