import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from croma import storage
from croma.batches.order import Order
from croma.errors import InputError
from croma.shards import index
from croma.shards.dataset import card_address, open_dataset, read_card
from croma.shards.reader import verify
from croma.shards.ref import DatasetRef
from croma.training.data import open_training_data
from croma.training.spec import TrainRun, TrainSpec
from tests.datasets import write_dataset

FIELDS: dict[str, Any] = {
    "objective": {"model": {"image": 16, "patch": 4, "encoder_dim": 16, "encoder_depth": 2, "encoder_heads": 2}},
    "steps": 10,
    "global_batch": 4,
    "augmentation": {"crop": [12, 24]},
}


def make(**changes: Any) -> TrainSpec:
    return TrainSpec.parse({**FIELDS, **changes}, "recipe")


def test_every_problem_is_listed_with_its_path() -> None:
    wrong = {
        "stepps": 3,
        "steps": 0,
        "schedule": {"lr": -1},
        "optimiser": {"betas": [0.9, 1.5], "clip": -1},
        "objective": {"model": {"patch": 5, "image": 16}},
        "resources": {"workers": [3, 2]},
        "faults": {"action": "hope"},
    }
    with pytest.raises(InputError) as error:
        TrainSpec.parse({**FIELDS, **wrong}, "recipe")
    text = "\n".join(error.value.problems)
    for sentence in (
        "recipe: stepps: is not a known field",
        "recipe: steps:",
        "lr is -1.0; it is above 0",
        "each is at least 0 and below 1",
        "clip is -1.0",
        "resources: workers are [3, 2]: expected [fewest, most]",
        "faults.action:",
        "image height is 16; it is a positive multiple of 5",
    ):
        assert sentence in text


def test_what_does_not_fit_together_is_refused() -> None:
    model = {**FIELDS["objective"]["model"], "image": [16, 24]}
    with pytest.raises(InputError, match=r"images must be.*warmup is 10.*more than global_batch"):
        make(objective={"model": model}, schedule={"warmup": 10}, resources={"workers": 5})


def test_the_run_is_known_by_what_it_learns() -> None:
    same = make(resources={"workers": 2, "micro_batch": 1, "checkpoint_every": 7, "compiled": True})
    assert make().run_id("demo", "d") == same.run_id("demo", "d")
    others = [make(seed=1), make(steps=11), make(precision="float32"), make(schedule={"lr": 1e-3})]
    ids = {spec.run_id("demo", "d") for spec in [make(), *others]} | {make().run_id("demo", "e")}
    assert len(ids) == 6
    assert make().run_id("demo", "d").startswith("demo-")


def test_a_run_survives_json() -> None:
    run = TrainRun(id="i", name="n", spec=make(), dataset=DatasetRef(uri="/d", version=1), root="s3://b", attempt="a")
    assert TrainRun.model_validate_json(run.model_dump_json()) == run
    assert run.weights == "s3://b/runs/i/weights/weights.safetensors"


def test_a_dataset_becomes_a_table(tmp_path: Path) -> None:
    uri = write_dataset(str(tmp_path), shards=2, per_shard=5)
    data = open_training_data(DatasetRef(uri=uri), make())
    assert len(data.chips) == 10
    assert data.ref == DatasetRef(uri=uri, version=1)
    assert data.chips.shard.tolist() == [0] * 5 + [1] * 5
    assert [Path(shard).name for shard in data.chips.shards] == ["shard-0.tar", "shard-1.tar"]
    assert len(np.unique(data.places)) == 10
    assert data.scaling.radar_mean[0] == pytest.approx(-12, abs=0.5)
    assert len(data.scaling.optical_std) == 12
    assert isinstance(data.order(make()), Order)


def test_the_fingerprint_is_of_the_pixels_not_of_the_place(tmp_path: Path) -> None:
    def fingerprint(root: str, **shape: int) -> str:
        uri = write_dataset(str(tmp_path / root), **shape)
        return open_training_data(DatasetRef(uri=uri), make()).fingerprint

    assert fingerprint("a") == fingerprint("b")
    assert fingerprint("a") != fingerprint("c", shards=2)


def test_any_version_can_be_trained_on(tmp_path: Path) -> None:
    """What grows later changes nothing for a version: same chips in the same order, same constants, all readable."""
    uri = write_dataset(str(tmp_path), shards=2, per_shard=5)
    first = open_training_data(DatasetRef(uri=uri), make())
    added = write_dataset(str(tmp_path / "more"), shards=1, per_shard=7, first=100)
    shutil.copytree(f"{added}/shards", f"{uri}/shards", dirs_exist_ok=True)
    card = read_card(added, "shard-100")
    storage.write(card_address(uri, card.id), card.to_json())
    assert index.commit(uri, [card], {}) == 2

    again = open_training_data(DatasetRef(uri=uri, version=1), make())
    newest = open_training_data(DatasetRef(uri=uri), make())
    assert (again.fingerprint, again.scaling, again.chips.ids.tolist()) == (
        first.fingerprint,
        first.scaling,
        first.chips.ids.tolist(),
    )
    assert again.order(make()).slice(0, 0, 1).chips.tolist() == first.order(make()).slice(0, 0, 1).chips.tolist()
    assert len(newest.chips) == 17
    assert newest.fingerprint != first.fingerprint
    assert newest.scaling != first.scaling
    for version in (1, 2):
        assert verify(open_dataset(DatasetRef(uri=uri, version=version))) == []


def test_data_that_do_not_suit_are_refused(tmp_path: Path) -> None:
    uri = write_dataset(str(tmp_path))
    with pytest.raises(InputError, match=r"crop: up to 25 px; the chips of dataset .*@1 are 24 px"):
        open_training_data(DatasetRef(uri=uri), make(augmentation={"crop": [12, 25]}))
    with pytest.raises(InputError, match="there is none"):
        open_training_data(DatasetRef(uri=storage.join(str(tmp_path), "nothing")), make())
    with pytest.raises(InputError, match="version"):
        open_training_data(DatasetRef(uri=uri, version=9), make())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective": {"kind": "cmid", "model": {"towers": ["optical"], "image": 48}}}, "not offered for cmid"),
        (
            {"objective": {"kind": "dual_encoder", "model": {"backbone": "resnet", "patch": 32, "image": 96}}},
            "this is resnet",
        ),
        ({"resources": {"sharding": "sharded", "compiled": True}}, "not offered with resources.compiled"),
    ],
)
def test_what_is_not_sharded_says_so(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make(**{"resources": {"sharding": "sharded"}, "augmentation": {"crop": [12, 24]}, **changes})
