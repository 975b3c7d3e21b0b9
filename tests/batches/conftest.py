import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from croma.batches.batch import RawBatch
from croma.batches.order import Order, cut_into_runs
from croma.batches.source import ChipTable
from croma.chip import Chip
from croma.shards.layout import ChipLayout
from croma.shards.writer import write_shard

MakeChip = Callable[..., Chip]


@dataclass(frozen=True)
class Constants:
    """What `croma.model.weights.Normalisation` is to batches."""

    radar_mean: tuple[float, ...] = (-12.0, -19.0)
    radar_std: tuple[float, ...] = (4.0, 5.0)
    optical_mean: tuple[float, ...] = tuple(1000.0 + 100 * i for i in range(12))
    optical_std: tuple[float, ...] = tuple(500.0 + 50 * i for i in range(12))


@dataclass(frozen=True)
class Stored:
    """A few shards on disk, and the chips they were written from."""

    chips: list[Chip]
    table: ChipTable
    layout: ChipLayout

    def order(self, global_batch: int, seed: int = 0, window: int | None = None, run: int = 3) -> Order:
        runs = cut_into_runs(self.table.shard, run)
        places = np.arange(len(self.table))
        return Order(seed=seed, dataset="d", places=places, runs=runs, global_batch=global_batch, window=window)


def store(folder: Path, make_chip: MakeChip, shards: int = 3, per_shard: int = 8, size: int = 24) -> Stored:
    layout = ChipLayout(size=size, label=True)
    chips, ids, shard, offset, crc, paths = [], [], [], [], [], []
    for number in range(shards):
        made = [make_chip(number * per_shard + i, size, label=True) for i in range(per_shard)]
        path = folder / f"shard-{number}.tar"
        written = write_shard(path, made, layout)
        data = path.read_bytes()
        for chip, place in zip(made, written.places, strict=True):
            ids.append(chip.id.encode())
            shard.append(number)
            offset.append(place.offset)
            crc.append(zlib.crc32(data[place.offset : place.offset + place.length]))
        chips += made
        paths.append(str(path))
    table = ChipTable(
        ids=np.array(ids),
        shard=np.array(shard),
        offset=np.array(offset),
        crc32=np.array(crc),
        length=layout.length,
        shards=tuple(paths),
    )
    return Stored(chips, table, layout)


@pytest.fixture
def stored(tmp_path: Path, make_chip: MakeChip) -> Stored:
    return store(tmp_path, make_chip)


def noise(b: int, size: int, seed: int = 0) -> RawBatch:
    """A batch of noise as it is stored."""
    rng = np.random.default_rng(seed)
    return RawBatch(
        radar=torch.from_numpy(rng.normal(-12, 4, (b, 2, size, size)).astype(np.float16)),
        optical={
            resolution: torch.from_numpy(
                rng.integers(1, 4000, (b, bands, size * 10 // resolution, size * 10 // resolution), np.uint16)
            )
            for resolution, bands in ((10, 4), (20, 6), (60, 2))
        },
        keys=torch.from_numpy(rng.integers(-(2**63), 2**63 - 1, b)),
        ids=tuple(f"chip-{i}" for i in range(b)),
    )


@pytest.fixture
def make_raw() -> Callable[..., RawBatch]:
    """`make_raw(b, size, seed=0)`: a batch of noise as it is stored."""
    return noise


@pytest.fixture
def constants() -> Constants:
    return Constants()
