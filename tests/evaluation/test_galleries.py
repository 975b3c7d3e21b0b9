from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from croma.evaluation.bench import Bench
from croma.evaluation.encoders import BandStatistics
from croma.evaluation.galleries import mistakes, neighbours
from croma.evaluation.labels import make_task
from croma.evaluation.scoring import Case
from croma.evaluation.spec import EvalSpec, Knn, PresentClasses
from croma.shards.dataset import Dataset, open_dataset
from tests.evaluation.world import CONSTANTS, SIZE, labelled_chip, make_dataset, three_classes

ENCODER = BandStatistics(CONSTANTS, SIZE, 8)
CASE = Case("trained", "linear", "joint")


def make_bench(dataset: Dataset, root: Path, **changes: Any) -> Bench:
    spec = EvalSpec(protocols=(Knn(),), gallery=4, **changes)
    return Bench(dataset=dataset, task=make_task(dataset, spec), spec=spec, root=str(root))


def titles(figure: Figure) -> list[str]:
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


def test_what_is_most_wrong_comes_first(tiny: Dataset, tmp_path: Path) -> None:
    bench = make_bench(tiny, tmp_path)
    truth = torch.nn.functional.one_hot(bench.task.score.labels, 3).float()
    scores = 0.9 * truth + 0.05 * (1 - truth)
    for row, sure in ((7, 0.99), (20, 0.6)):
        wrong = (int(truth[row].argmax()) + 1) % 3
        scores[row] = (1 - sure) / 2
        scores[row, wrong] = sure
    other = {Case("untrained", "linear", "joint"): truth, Case("trained", "knn", "joint"): truth}
    first, second, *_ = titles(mistakes(bench, {**other, CASE: scores}, "joint"))
    names = bench.task.classes
    label = int(truth[7].argmax())
    assert first == f"{names[label]}\nsaid {names[(label + 1) % 3]} 0.99"
    assert second.endswith("0.60")


def test_a_place_is_shown_once(tmp_path: Path) -> None:
    chips = three_classes(6)
    first = chips["test"][0]
    chips["test"].append(replace(first, id=f"{first.id}0"))  # another day
    bench = make_bench(open_dataset(make_dataset(str(tmp_path), tmp_path, chips)), tmp_path)
    assert len(bench.task.score.labels) == 7
    assert len(titles(mistakes(bench, {CASE: torch.full((7, 3), 1 / 3)}, "joint"))) == 6


def test_of_several_labels_one_that_is_missed_is_named(tmp_path: Path) -> None:
    chips = {
        split: [labelled_chip(100 * n + k, 10, dominance=0.6) for k in range(4)]
        for n, split in enumerate(("train", "val", "test"))
    }
    dataset = open_dataset(make_dataset(str(tmp_path), tmp_path, chips))
    bench = make_bench(dataset, tmp_path, target=PresentClasses())
    scores = bench.task.score.labels.float()
    scores[2, 1] = 0.03
    first = titles(mistakes(bench, {CASE: scores}, "joint"))[0]
    assert first == f"{bench.task.classes[1]} is there\nsaid 0.03"


def test_neighbours_of_both_sensors(tiny: Dataset, tmp_path: Path) -> None:
    found = neighbours(make_bench(tiny, tmp_path), ENCODER)
    assert set(found) == {"neighbours-of-radar.png", "neighbours-of-optical.png"}
    words = titles(found["neighbours-of-radar.png"])
    assert len(words) == 4 * 7
    assert words[0].startswith("radar: ")
    assert words[1] == "the same ground"
    # Three land covers that look different: an answer is of the class that was asked for.
    asked = words[0].removeprefix("radar: ")
    assert any(word.endswith(asked) or "itself" in word for word in words[2:7])


def test_one_sensor_has_no_neighbours(tiny: Dataset, tmp_path: Path) -> None:
    assert neighbours(make_bench(tiny, tmp_path, modalities=("radar",)), ENCODER) == {}


@pytest.mark.parametrize("modality", ["radar", "joint"])
def test_the_modality_that_is_asked_for_if_there_is_one(tiny: Dataset, tmp_path: Path, modality: Any) -> None:
    bench = make_bench(tiny, tmp_path)
    truth = torch.nn.functional.one_hot(bench.task.score.labels, 3).float()
    found = {Case("trained", "knn", "radar"): truth, Case("trained", "knn", "joint"): truth}
    assert modality in str(mistakes(bench, found, modality).get_suptitle())
