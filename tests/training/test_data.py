"""Batches of one dataset, from wherever its shards are and however much of it a disk keeps."""

from pathlib import Path

import pytest
import torch

from croma import storage
from croma.batches.batch import RawBatch
from croma.batches.filler import Filler
from croma.batches.kept import PartlyKept
from croma.batches.loader import Loader
from croma.batches.readers import Readers
from croma.batches.spec import Reading
from croma.batches.stream import Stream
from croma.shards.ref import DatasetRef
from croma.training.data import TrainingData, open_training_data
from croma.training.spec import TrainSpec
from tests.datasets import write_dataset

SPEC = TrainSpec.parse({"steps": 9, "global_batch": 5, "window": 9, "augmentation": {"crop": [12, 24]}}, "test")


def batches(data: TrainingData, filler: Filler) -> list[RawBatch]:
    with Loader(data.order(SPEC), data.chips, data.layout.planes, filler) as loader:
        return [batch.moved(torch.clone) for batch in loader.batches(0, SPEC.steps)]


@pytest.mark.parametrize("by", ["http", "obstore"])
def test_pixels_do_not_depend_on_where_chips_are_kept(
    s3_root: str, tmp_path: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = open_training_data(DatasetRef(uri=write_dataset(str(tmp_path))), SPEC)
    there = open_training_data(DatasetRef(uri=write_dataset(s3_root)), SPEC)
    assert there.fingerprint == here.fingerprint
    if by == "obstore":
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
    shard = storage.size(there.chips.shards[0])
    ways = {Readers: 10 * shard, PartlyKept: 2 * shard, Stream: 0}
    wanted = batches(here, here.filler(Reading(), tmp_path / "unused", 0))
    for way, capacity in ways.items():
        filler = there.filler(Reading(), tmp_path / way.__name__, capacity)
        assert isinstance(filler, way)
        for one, other in zip(batches(there, filler), wanted, strict=True):
            assert one.ids == other.ids
            assert one.stored is not None
            assert other.stored is not None
            assert torch.equal(one.stored, other.stored)
    kept = {path.name for path in (tmp_path / "PartlyKept").glob("*.shard")}
    assert len(kept) == 1
    assert not (tmp_path / "unused").exists()
