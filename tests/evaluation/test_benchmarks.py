"""Imported benchmarks evaluated from end to end: one label, several, masks, changes; a sensor that is missing."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from croma.batches.augment import prepare
from croma.errors import InputError
from croma.evaluation import suite
from croma.evaluation.embed import read_batches
from croma.evaluation.scores import Scorecard
from croma.evaluation.spec import EvalSpec
from croma.evaluation.suited import NORMALISED, suited
from croma.importing.run import import_benchmark
from croma.shards.dataset import open_dataset
from croma.shards.ref import DatasetRef
from tests.importing import layouts

pytestmark = pytest.mark.slow

FAST = {"bootstrap": {"draws": 30}, "gallery": 2, "baselines": ["band-statistics"], "gate": {"beats": []}}


def judged(tmp_path: Path, weights: Path, ref: DatasetRef, **spec: object) -> Scorecard:
    return suite.evaluate(EvalSpec.parse(FAST | spec, "test"), str(weights), ref, str(tmp_path / "root"), name="b")


@pytest.fixture(scope="module")
def eurosat(tmp_path_factory: pytest.TempPathFactory) -> DatasetRef:
    home = tmp_path_factory.mktemp("eurosat")
    return import_benchmark("eurosat", layouts.eurosat(home / "files", each=12), str(home / "d"), name="eurosat")


def test_one_label_with_the_missing_sensor_recorded(eurosat: DatasetRef, weights: Path, tmp_path: Path) -> None:
    protocols = [{"kind": "knn", "k": 3}, {"kind": "linear"}, {"kind": "retrieval"}]
    card = judged(tmp_path, weights, eurosat, protocols=protocols)
    assert card.classes == ("Forest", "SeaLake")
    assert {score.modality for score in card.scores} == {"optical"}
    assert {score.protocol for score in card.scores} == {"knn", "linear"}
    score = card.find("linear/optical/top1", "band-statistics")
    assert score is not None
    assert score.value == 1.0
    chips = sum(card.chips.values())
    lacks = "the dataset has no radar"
    assert card.exclusions == {f"{name}/{lacks}": chips for name in ("radar", "joint", "retrieval")}


def test_a_recipe_of_the_missing_sensor_alone_is_refused(eurosat: DatasetRef, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no radar, and the recipe asks for radar, joint alone"):
        judged(tmp_path, weights, eurosat, modalities=["radar", "joint"])
    with pytest.raises(InputError, match="retrieval, which takes both sensors"):
        judged(tmp_path, weights, eurosat, protocols=[{"kind": "retrieval"}])


def test_protocols_that_need_other_labels_are_refused(eurosat: DatasetRef) -> None:
    pixels = EvalSpec.parse(
        {"protocols": [{"kind": "segmentation"}, {"kind": "change"}], "target": {"kind": "pixels"}}, ""
    )
    with pytest.raises(InputError, match="its labels say the class of a chip, and segmentation needs others") as caught:
        suited(pixels, open_dataset(eurosat))
    assert len(caught.value.problems) == 2
    with pytest.raises(ValidationError, match="knn, linear says classes of a chip"):
        EvalSpec(target={"kind": "pixels"})


def test_several_labels(weights: Path, tmp_path: Path) -> None:
    folder = layouts.bigearthnet_v2(tmp_path / "files", per_split=6)
    ref = import_benchmark("bigearthnet-v2", folder, str(tmp_path / "d"), name="ben")
    with pytest.raises(InputError, match="several labels; take the target `present`"):
        judged(tmp_path, weights, ref)
    card = judged(
        tmp_path, weights, ref, target={"kind": "present"}, protocols=[{"kind": "knn", "k": 3}, {"kind": "linear"}]
    )
    assert card.classes == ("Urban fabric", "Arable land", "Marine waters")
    assert {score.modality for score in card.scores} == {"radar", "optical", "joint"}
    assert {"map-micro", "map-macro", "f1-micro"} <= {score.metric for score in card.scores}
    assert card.exclusions == {}


def test_masks_with_few_labels_frozen_and_fine_tuned(weights: Path, tmp_path: Path) -> None:
    folder = layouts.sen1floods11(tmp_path / "files", per_split=4, size=96)
    ref = import_benchmark("sen1floods11", folder, str(tmp_path / "d"), name="floods", size=48)
    few = {"shares": [0.1, 1.0]}
    short = {"epochs": 2, "learning_rates": [0.03], "batch": 4}
    card = judged(
        tmp_path,
        weights,
        ref,
        target={"kind": "pixels"},
        modalities=["radar", "joint"],
        protocols=[{"kind": "segmentation", **few}, {"kind": "finetune-segmentation", **few, **short}],
    )
    assert card.classes == ("dry", "water")
    assert card.chips == {"train": 16, "val": 16, "test": 16}
    statistics = card.find("segmentation/radar/miou-at-100", "band-statistics")
    assert statistics is not None
    assert statistics.value > 0.9
    assert card.find("finetune-segmentation/joint/miou-at-10") is not None
    assert card.find("finetune-segmentation/joint/miou-at-10", "band-statistics") is None
    water = [one for one in card.by_class if one.label == "water" and one.protocol == "segmentation"]
    assert {one.encoder for one in water} == {"trained", "band-statistics"}


def test_changes_between_dates(weights: Path, tmp_path: Path) -> None:
    ref = import_benchmark("oscd", layouts.oscd(tmp_path / "files", size=96), str(tmp_path / "d"), name="oscd", size=48)
    change = {"kind": "change"}
    with pytest.raises(InputError, match="take the target `pixels`"):
        judged(tmp_path, weights, ref, protocols=[change])
    card = judged(tmp_path, weights, ref, protocols=[change], target={"kind": "pixels"})
    found = card.find("change/optical/change-f1", "band-statistics")
    assert found is not None
    assert found.value > 0.8
    assert found.n == 8
    assert found.low is not None


def test_pixels_that_are_normalised_already_are_divided_by_255(weights: Path, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = {part: torch.arange(n) % 2 for part, n in (("train", 20), ("validation", 10))}
    tensors = {}
    for part, label in labels.items():
        images = torch.randint(0, 120, (len(label), 14, 48, 48), generator=generator, dtype=torch.uint8)
        tensors[f"{part}_images"] = images + (label * 100).to(torch.uint8)[:, None, None, None]
        tensors[f"{part}_labels"] = label
    torch.save(tensors, tmp_path / "both.pt")
    ref = import_benchmark("croma-tensors", tmp_path / "both.pt", str(tmp_path / "d"), name="both")
    dataset = open_dataset(ref)
    rows = dataset.table("test").to_pylist()
    (raw,) = read_batches(dataset, rows, len(rows))
    batch = prepare(raw, SimpleNamespace(**NORMALISED), 48)
    order = [int(row["chip"].rpartition("-")[2]) for row in rows]
    expected = tensors["validation_images"][order].float() / 255
    torch.testing.assert_close(batch.optical, expected[:, :12], rtol=0, atol=1e-6)
    torch.testing.assert_close(batch.radar, expected[:, 12:], rtol=0, atol=1e-6)
    card = judged(tmp_path, weights, ref, protocols=[{"kind": "knn", "k": 3}])
    assert card.provenance.normalisation == NORMALISED
    assert {score.value for score in card.scores if score.metric == "top1" and score.modality == "optical"} == {1.0}


def test_chips_without_a_sensor_are_left_out_only_where_it_is_needed(weights: Path, tmp_path: Path) -> None:
    folder = layouts.sen1floods11(tmp_path / "files", per_split=3)
    for path in folder.glob("flood_events/HandLabeled/S2Hand/*_0_S2Hand.tif"):
        path.unlink()
    ref = import_benchmark("sen1floods11", folder, str(tmp_path / "d"), name="floods", size=64)
    spec = {"target": {"kind": "pixels"}, "protocols": [{"kind": "segmentation", "epochs": 1}]}
    radar = judged(tmp_path, weights, ref, modalities=["radar"], **spec)
    assert radar.chips["train"] == 3
    both = judged(tmp_path, weights, ref, modalities=["joint"], **spec)
    assert both.chips["train"] == 2
    assert both.exclusions == {"train/nodata": 1}
    assert np.isfinite([score.value for score in both.scores]).all()
