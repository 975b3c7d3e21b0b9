"""Imported benchmarks as training takes them: the loader's batches, and a sensor that a model would look at in vain."""

from pathlib import Path

import pytest
import torch

from croma.batches.loader import Loader
from croma.batches.spec import Reading
from croma.errors import InputError
from croma.importing.run import import_benchmark
from croma.shards.dataset import open_dataset
from croma.shards.reader import read_chips
from croma.training.data import open_training_data
from croma.training.spec import TrainSpec
from tests.importing import layouts

PLAIN = {"steps": 200, "global_batch": 4, "augmentation": {"crop": [40, 64]}}
SPEC = TrainSpec.parse(PLAIN, "test")


def test_batches_hold_twelve_bands_at_10_m(tmp_path: Path) -> None:
    folder = layouts.sen1floods11(tmp_path / "files", per_split=4)
    ref = import_benchmark("sen1floods11", folder, str(tmp_path / "d"), name="d", size=64)
    data = open_training_data(ref, SPEC)
    with Loader(data.order(SPEC), data.chips, data.layout.planes, data.filler(Reading(), tmp_path, 1)) as loader:
        (batch,) = loader.batches(0, 1)
    dataset = open_dataset(ref)
    rows = {row["chip"]: row for row in dataset.table("train").to_pylist()}
    for number, planes in enumerate(read_chips(dataset, [rows[chip] for chip in batch.ids])):
        torch.testing.assert_close(batch.optical[10][number], torch.from_numpy(planes["s2_10m"].copy()))
        torch.testing.assert_close(batch.radar[number], torch.from_numpy(planes["s1"].copy()), equal_nan=True)
    assert set(batch.optical) == {10}


def test_a_model_that_looks_at_a_missing_sensor_is_refused(tmp_path: Path) -> None:
    ref = import_benchmark("eurosat", layouts.eurosat(tmp_path / "files"), str(tmp_path / "d"), name="d")
    with pytest.raises(InputError, match="no radar, which the model looks at"):
        open_training_data(ref, SPEC)
    single = TrainSpec.parse(PLAIN | {"objective": {"kind": "cmid", "model": {"towers": ["optical"]}}}, "test")
    assert len(open_training_data(ref, single).chips) > 0
