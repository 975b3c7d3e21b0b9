from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from croma.errors import InputError
from croma.evaluation.labels import make_task
from croma.evaluation.spec import EvalSpec, PresentClasses
from croma.shards.classes import class_names
from croma.shards.dataset import Dataset, open_dataset
from tests.evaluation.world import labelled_chip, make_dataset, three_classes


def test_classes_are_numbered_in_the_order_of_their_codes(tiny: Dataset) -> None:
    task = make_task(tiny, EvalSpec())
    assert task.codes == (10, 40, 80)
    assert task.classes == ("tree cover", "cropland", "water")
    codes = np.array(task.codes)[task.fit.labels.numpy()]
    assert codes.tolist() == task.fit.rows["label"].to_pylist()


def test_several_labels_a_chip_come_from_their_shares(tmp_path: Path) -> None:
    chips = three_classes(6)
    chips["test"].append(labelled_chip(5000, 80, dominance=0.75))
    dataset = open_dataset(make_dataset(str(tmp_path), tmp_path, chips))
    task = make_task(dataset, EvalSpec(target=PresentClasses(min_share=0.2)))
    assert task.score.labels.shape == (7, 3)
    assert task.score.labels.sum(1).tolist().count(2) == 1
    strict = make_task(dataset, EvalSpec(target=PresentClasses(min_share=0.3)))
    assert (strict.score.labels.sum(1) == 1).all()


def test_a_class_that_cannot_be_learnt_is_left_out_and_counted(tmp_path: Path) -> None:
    chips = three_classes(6)
    chips["train"] = [chip for chip in chips["train"] if chip.facts["label"] != 80]
    task = make_task(open_dataset(make_dataset(str(tmp_path), tmp_path, chips)), EvalSpec())
    assert task.classes == ("tree cover", "cropland")
    assert task.exclusions == {
        "val/class not in the fit split": 2,
        "test/class not in the fit split": 2,
    }


def test_a_limit_takes_the_same_chips_whatever_else_there_is(tiny: Dataset) -> None:
    few, more = (make_task(tiny, EvalSpec(chips=chips)).fit.rows["chip"].to_pylist() for chips in (9, 18))
    assert len(few) == 9
    assert len(more) == 18
    assert set(few) < set(more)
    fewer_rows = replace(tiny, rows=tiny.rows.slice(0))
    assert make_task(fewer_rows, EvalSpec(chips=9)).fit.rows["chip"].to_pylist() == few


def test_rows_stay_in_the_order_of_the_shards(tiny: Dataset) -> None:
    rows = make_task(tiny, EvalSpec(chips=18)).fit.rows
    places = list(zip(rows["shard"].to_pylist(), rows["offset"].to_pylist(), strict=True))
    assert places == sorted(places)


def test_a_dataset_without_labels_is_refused(tiny: Dataset) -> None:
    bare = replace(tiny, header=tiny.header.model_copy(update={"label": False}))
    with pytest.raises(InputError, match="has no labels"):
        make_task(bare, EvalSpec())


def test_names_of_codes_by_collection() -> None:
    assert class_names(["sentinel-2-l2a", "esa-worldcover"], [10, 80, 7]) == ("tree cover", "water", "class 7")
    assert class_names(["io-lulc-annual-v02"], [1, 11]) == ("water", "rangeland")
    assert class_names([], [3]) == ("class 3",)
