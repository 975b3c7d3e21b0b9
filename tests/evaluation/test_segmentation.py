from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score

from croma.errors import InputError
from croma.evaluation import suite
from croma.evaluation.bench import Bench
from croma.evaluation.encoders import BandStatistics
from croma.evaluation.labels import Labelled, make_task
from croma.evaluation.maps import IGNORED, Maps, confusion_by_block, draw, label_images, load_maps, pixel_codes
from croma.evaluation.metrics import from_confusion
from croma.evaluation.segmentation import measure, train_head
from croma.evaluation.spec import EvalSpec, Segmentation
from croma.model.patches import patchify
from croma.shards.dataset import Dataset, open_dataset
from croma.shards.ref import DatasetRef
from tests.evaluation.world import CONSTANTS, SIZE, labelled_chip, make_dataset, three_classes

FAST = Segmentation(epochs=25, learning_rates=(3e-2,), batch=8, inverse_penalties=(0.1, 10.0))


def maps(n: int, seed: int, knows: bool) -> Maps:
    """Images of 4 × 4 patches of 4 px whose tokens know the classes of all their pixels, or nothing."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (n, 16, 16), generator=generator)
    seen = torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    tokens = patchify(seen, 4) if knows else torch.randn(n, 16, 48, generator=generator)
    return Maps(tokens, labels, np.zeros(n, np.int64))


def miou(fit: Maps, select: Maps, score: Maps, spec: Segmentation = FAST) -> float:
    head = train_head(fit, select, 3, spec, 0)
    counts = confusion_by_block(head.say(score.tokens), score.labels, 3, score.block, 1)
    return float(from_confusion(counts)["miou"][0])


def test_perfect_where_tokens_know_their_pixels() -> None:
    assert miou(maps(60, 0, True), maps(20, 1, True), maps(40, 2, True)) > 0.97


def test_chance_on_noise() -> None:
    assert miou(maps(60, 0, False), maps(20, 1, False), maps(40, 2, False)) == pytest.approx(0.2, abs=0.04)


@pytest.mark.parametrize("head", ["linear", "decoder"])
def test_both_heads_give_every_pixel_a_class_at_any_size(head: str) -> None:
    spec = FAST.model_copy(update={"head": head, "epochs": 2})
    trained = train_head(maps(16, 0, True), maps(8, 1, True), 3, spec, 0)
    assert trained.say(torch.randn(2, 25, 48)).shape == (2, 20, 20)


def test_pixels_without_a_label_change_nothing() -> None:
    fit, select, score = maps(30, 0, True), maps(10, 1, True), maps(20, 2, True)
    hidden = fit.labels.clone()
    hidden[:, :2] = IGNORED
    assert miou(fit._replace(labels=hidden), select, score) > 0.7
    blank = score.labels.clone()
    blank[0] = IGNORED
    counts = confusion_by_block(score.labels, blank, 3, score.block, 1)
    assert counts.sum() == 19 * 256


def test_few_chips_are_drawn_by_seed_and_show_every_class() -> None:
    labels = torch.zeros(200, 16, 16, dtype=torch.int64)
    labels[:20] = 1
    labels[7, :2, :2] = 2  # in one chip alone, and never the commonest
    numbers = torch.arange(200, dtype=torch.float32)[:, None, None]
    whole = Maps(numbers, labels, np.arange(200))
    draws = [set(draw(whole, 0.1, seed).block.tolist()) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    for drawn in draws:
        assert 7 in drawn
        assert len(drawn) in (20, 21)
        assert len(drawn & set(range(20))) in (2, 3)
    one = draw(whole, 0.001, 3)
    assert one.labels.unique().tolist() == [0, 1, 2]
    assert one.tokens.flatten().tolist() == one.block.tolist()


def test_confusion_gives_scikit_learn_s_jaccard_by_block() -> None:
    generator = np.random.default_rng(0)
    truth, said = torch.from_numpy(generator.integers(0, 4, (2, 6, 8, 8)))
    block = np.array([0, 1, 1, 0, 2, 2])
    counts = confusion_by_block(said, truth, 4, block, 3)
    for number in range(3):
        pair = truth[block == number].ravel(), said[block == number].ravel()
        expected = jaccard_score(*pair, average="macro")
        assert from_confusion(counts[number][None])["miou"][0] == pytest.approx(expected)


def test_label_images_are_the_middle_of_chips_and_small_chips_are_enlarged(tmp_path: Path) -> None:
    chips = three_classes(6)
    chips["test"] = [labelled_chip(9001, 80, dominance=0.5)]
    dataset = open_dataset(make_dataset(str(tmp_path), tmp_path, chips))
    rows = dataset.table("test")
    (middle,), (large,) = label_images(dataset, rows, 24), label_images(dataset, rows, 96)
    assert (middle[:12] == 80).all()
    assert (middle[12:] == 10).all()
    assert (large[:48] == 80).all()
    assert (large[48:] == 10).all()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Chips of two land covers each, the border at another row in every chip."""
    folder = tmp_path_factory.mktemp("mixed")
    codes = [10, 40, 80]
    chips = {
        split: [labelled_chip(500 * s + n, codes[n % 3], dominance=0.4 + 0.05 * (n % 8)) for n in range(24)]
        for s, split in enumerate(("train", "val", "test"))
    }
    return open_dataset(make_dataset(str(folder), folder, chips))


def test_patch_statistics_find_the_border_between_land_covers(mixed: Dataset, tmp_path: Path) -> None:
    spec = EvalSpec(target={"kind": "dominant", "min_share": 0.3}, bootstrap={"draws": 50, "block_km": 1.0})
    bench = Bench(dataset=mixed, task=make_task(mixed, spec), spec=spec, root=str(tmp_path))
    found = measure(bench, BandStatistics(CONSTANTS, SIZE, 8), "joint", FAST)
    assert found.values["miou"][0] > 0.85
    assert found.values["miou"].shape == (51,)
    assert found.n == 24


def test_blocks_of_a_part_of_the_chips_are_those_of_the_bench(mixed: Dataset, tmp_path: Path) -> None:
    spec = EvalSpec(target={"kind": "dominant", "min_share": 0.3}, bootstrap={"block_km": 1.0})
    bench = Bench(dataset=mixed, task=make_task(mixed, spec), spec=spec, root=str(tmp_path))
    codes = pixel_codes(bench, 24, SIZE)
    assert codes == (10, 40, 80)
    few = load_maps(bench, BandStatistics(CONSTANTS, SIZE, 8), "radar", bench.task.score, codes, 5, SIZE)
    assert set(few.block) <= set(bench.block)
    assert few.tokens.shape == (5, 36, 4)


def test_one_class_is_told_from_the_rest(mixed: Dataset, tmp_path: Path) -> None:
    spec = EvalSpec(target={"kind": "dominant", "min_share": 0.3}, bootstrap={"draws": 50, "block_km": 1.0})
    bench = Bench(dataset=mixed, task=make_task(mixed, spec), spec=spec, root=str(tmp_path))
    encoder = BandStatistics(CONSTANTS, SIZE, 8)
    codes = pixel_codes(bench, 24, SIZE, told=(80,))
    labels = load_maps(bench, encoder, "joint", bench.task.score, codes, 24, SIZE).labels.numpy()
    true = label_images(mixed, bench.task.score.rows, SIZE)
    np.testing.assert_array_equal(labels, np.where(true == 80, 0, np.where(true == 0, IGNORED, 1)))
    found = measure(bench, encoder, "joint", FAST.model_copy(update={"told": (80,)}))
    assert set(found.by_class) == {"water", "rest"}
    assert found.by_class["water"] > 0.9
    with pytest.raises(InputError, match="no pixel of the fit split has the class 50"):
        pixel_codes(bench, 24, SIZE, told=(80, 50))


def test_labels_of_one_class_are_refused(tmp_path: Path, mixed: Dataset) -> None:
    splits = enumerate(("train", "val", "test"))
    chips = {split: [labelled_chip(9 * s + n, 10) for n in range(3)] for s, split in splits}
    dataset = open_dataset(make_dataset(str(tmp_path), tmp_path, chips))
    task = replace(make_task(mixed, EvalSpec()), fit=Labelled(rows=dataset.table("train"), labels=torch.zeros(3)))
    bench = Bench(dataset=dataset, task=task, spec=EvalSpec(), root=str(tmp_path))
    with pytest.raises(InputError, match="have 1 class; two are needed"):
        pixel_codes(bench, 3, SIZE)


def test_in_the_suite(tiny_ref: DatasetRef, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "draw_pictures", lambda *_: {})
    spec = EvalSpec(
        protocols=(FAST.model_copy(update={"epochs": 4}),),
        modalities=("joint",),
        bootstrap={"draws": 30, "block_km": 1.0},
    )
    card = suite.evaluate(spec, str(weights), tiny_ref, str(tmp_path), name="demo")
    assert {(score.encoder, score.metric) for score in card.scores} == {
        (encoder, metric)
        for encoder in ("trained", "untrained", "band-statistics")
        for metric in ("miou", "pixel-accuracy", "macro-f1")
    }
