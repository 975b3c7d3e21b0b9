"""A dataset version as training takes it: the table of chips, their places and runs, and the constants of its bands."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from croma import ranges, storage
from croma.batches.cache import CachedShards
from croma.batches.filler import Filler
from croma.batches.kept import PartlyKept, shards_that_fit
from croma.batches.order import Integers, Order, cut_into_runs
from croma.batches.readers import Readers
from croma.batches.requests import chips_of_a_request
from croma.batches.source import ChipTable, LocalShards
from croma.batches.spec import Reading
from croma.batches.stream import Stream
from croma.errors import InputError
from croma.model.towers_spec import TowersSpec
from croma.sensors import OPTICAL_CHANNELS, RADAR_CHANNELS, Role
from croma.shards.dataset import Dataset, open_dataset, shard_address
from croma.shards.layout import ChipLayout
from croma.shards.ref import DatasetRef
from croma.training.spec import TrainSpec


class Scaling(NamedTuple):
    """Band statistics of the train split; a `croma.batches.normalise.Normalisation`."""

    radar_mean: tuple[float, ...]
    radar_std: tuple[float, ...]
    optical_mean: tuple[float, ...]
    optical_std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """The train split of a dataset version."""

    ref: DatasetRef
    """With the version resolved."""
    layout: ChipLayout
    chips: ChipTable
    places: Integers
    """(chips,). A number for every place."""
    runs: Integers
    """See `Order`."""
    scaling: Scaling
    fingerprint: str
    """Of the ids and checksums of all chips: equal for equal pixels, wherever they are stored."""

    def order(self, spec: TrainSpec) -> Order:
        """The order in which `spec` visits the chips."""
        return Order(
            seed=spec.seed,
            dataset=self.fingerprint,
            places=self.places,
            runs=self.runs,
            global_batch=spec.global_batch,
            window=spec.window,
        )

    def filler(self, reading: Reading, cache: Path, capacity: int) -> Filler:
        """How batches are filled: from shards on this machine as they are; from remote ones through a cache in `cache`,
        and what does not fit into its `capacity` bytes straight from storage.
        """
        if all(storage.local_path(address) is not None for address in self.chips.shards):
            return Readers(self.chips, LocalShards(self.chips), reading)
        kept = shards_that_fit(self.chips, capacity)
        if kept == 0:
            return Stream(self.chips, ranges.read_into, reading)
        shards = CachedShards(self.chips, self.runs, ranges.read_pieces, cache, capacity)
        cached = Readers(self.chips, shards, reading)
        if kept == len(self.chips.shards):
            return cached
        return PartlyKept(self.chips, kept, cached, Stream(self.chips, ranges.read_into, reading))


def open_training_data(ref: DatasetRef, spec: TrainSpec) -> TrainingData:
    """Open the train split for `spec`.

    Raises:
        InputError: there is no such dataset or version, it has no chips to train on or lacks a sensor, or chips are too
            small.
    """
    dataset = open_dataset(ref)
    missing = _wanted(spec) - set(dataset.header.sensors)
    if missing:
        lacks = " and no ".join(sorted(missing))
        raise InputError(f"dataset {dataset.ref}: it has no {lacks}, which the model looks at")
    rows = dataset.table("train")
    if not len(rows):
        raise InputError(f"dataset {dataset.ref}: the train split has no chips; build more, or change its split rule")
    largest = spec.augmentation.crop[1]
    if largest > dataset.layout.size:
        raise InputError(
            f"augmentation.crop: up to {largest} px; the chips of dataset {dataset.ref} are {dataset.layout.size} px"
        )
    chips = _table(dataset, rows)
    cells = np.stack([rows[name].to_numpy() for name in ("epsg", "left", "top")], axis=1)
    return TrainingData(
        ref=dataset.ref,
        layout=dataset.layout,
        chips=chips,
        places=np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1),
        runs=cut_into_runs(chips.shard, chips_of_a_request(chips.length)),
        scaling=_scaling(dataset),
        fingerprint=_fingerprint(chips),
    )


def _wanted(spec: TrainSpec) -> set[Role]:
    """The sensors that the model looks at: those of its towers, or both."""
    both: set[Role] = {"radar", "optical"}
    model = spec.objective.model
    towers = set(model.towers) if isinstance(model, TowersSpec) else {"joint"}
    return both if "joint" in towers else {role for role in both if role in towers}


def cache_folder() -> Path:
    """Where this machine keeps remote shards: CROMA_CACHE, or below the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "croma"
    return Path(os.environ.get("CROMA_CACHE", default)) / "shards"


def _table(dataset: Dataset, rows: pa.Table) -> ChipTable:
    names, numbers = np.unique(rows["shard"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    lengths = np.unique(rows["length"].to_numpy())
    if len(lengths) > 1:
        raise InputError(f"dataset {dataset.ref}: chips are {lengths.tolist()} bytes long; they must all be alike")
    return ChipTable(
        ids=rows["chip"].to_numpy(zero_copy_only=False).astype(np.bytes_),
        shard=numbers.astype(np.int64),
        offset=rows["offset"].to_numpy(),
        crc32=rows["crc32"].to_numpy(),
        length=int(lengths[0]),
        shards=tuple(shard_address(dataset.ref.uri, "train", str(name)) for name in names),
    )


def _scaling(dataset: Dataset) -> Scaling:
    statistics = dataset.statistics("train")
    radar, optical = statistics["radar"], statistics["optical"]
    if len(radar.mean) != RADAR_CHANNELS or len(optical.mean) != OPTICAL_CHANNELS:
        raise InputError(f"dataset {dataset.ref}: its band statistics are of other bands; build it again")
    return Scaling(radar_mean=radar.mean, radar_std=radar.std, optical_mean=optical.mean, optical_std=optical.std)


def _fingerprint(chips: ChipTable) -> str:
    content = hashlib.sha256(b"\n".join(chips.ids.tolist()))
    content.update(np.ascontiguousarray(chips.crc32, "<i8").tobytes())
    return content.hexdigest()[:16]
