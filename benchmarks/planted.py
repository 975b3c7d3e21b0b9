"""A labelled dataset of any size whose classes can be read off the brightness of its chips, written as a build does."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from croma import storage
from croma.batches.batch import RawBatch
from croma.chip import Chip, Split
from croma.grid import Cell
from croma.sensors import SENTINEL_2_L2A
from croma.shards import index
from croma.shards.card import ChipRow, ShardCard
from croma.shards.dataset import Header, card_address, shard_address, write_header
from croma.shards.layout import ChipLayout
from croma.shards.ref import DatasetRef
from croma.shards.writer import write_shard

SIZE = 24
"""Pixels along a side: small, since nobody looks at them."""
SHARES: dict[Split, float] = {"train": 0.5, "val": 0.25, "test": 0.25}
_STEP = 400
"""Reflectance between two classes."""
_PER_SHARD = 500


def make_dataset(folder: Path, chips: int, classes: int) -> DatasetRef:
    """`chips` chips over the three splits, every class equally often, at version 1 below `folder`."""
    uri = str(folder / "datasets" / "planted")
    write_header(uri, Header(format=1, name="planted", chip_size=SIZE, label=True, sources=("esa-worldcover",)))
    cards, number = [], 0
    for split, share in SHARES.items():
        stop = number + round(chips * share)
        for start in range(number, stop, _PER_SHARD):
            members = [_chip(each, each % classes) for each in range(start, min(start + _PER_SHARD, stop))]
            cards.append(_store(uri, folder, f"{split}-{start:06}", split, members))
        number = stop
    return DatasetRef(uri=uri, version=index.commit(uri, cards, {}))


def planted(raw: RawBatch, dim: int, strength: float, seed: int) -> Tensor:
    """Vectors (b, dim) of noise, moved a little towards the middle of each chip's class."""
    number = (raw.optical[10].float().mean((1, 2, 3)) / _STEP).round().long() - 1
    centres = torch.randn(64, dim, generator=torch.Generator().manual_seed(seed))
    noise = [
        np.random.default_rng([seed, zlib.crc32(chip.encode())]).standard_normal(dim, np.float32) for chip in raw.ids
    ]
    return torch.from_numpy(np.stack(noise)) + strength * centres[number]


def _chip(number: int, label: int) -> Chip:
    cell = Cell(32633, 399960 + 240 * (number % 100), 5400000 - 240 * (number // 100))
    value = _STEP * (label + 1)
    optical = {
        step: np.full((len(SENTINEL_2_L2A.at(step)), SIZE * 10 // step, SIZE * 10 // step), value, np.uint16)
        for step in SENTINEL_2_L2A.resolutions
    }
    for plane in optical.values():
        plane[:, 0, 0] = value // 2 + number % 7
    code = 10 * (label + 1)
    facts: dict[str, Any] = {
        "longitude": 13.0,
        "latitude": 48.7,
        "radar_scene": "S1",
        "optical_scene": "S2",
        "gap_hours": -5.0,
        "radar_time": "2021-06-23T05:10:00+00:00",
        "optical_time": "2021-06-23T10:10:00+00:00",
        "optical_nodata": 0.0,
        "radar_nodata": 0.0,
        "resampled": False,
        "reader": "window",
        "label": code,
        "label_shares": {code: 1.0},
    }
    return Chip(
        id=f"planted-{number:07}",
        cell=cell,
        radar=np.full((2, SIZE, SIZE), -10 - label, np.float16),
        optical=optical,
        label=np.full((SIZE, SIZE), code, np.uint8),
        facts=facts,
    )


def _store(uri: str, folder: Path, shard: str, split: Split, chips: list[Chip]) -> ShardCard:
    path = folder / f"{shard}.tar"
    written = write_shard(path, chips, ChipLayout(size=SIZE, label=True))
    storage.upload(path, shard_address(uri, split, shard))
    path.unlink()
    rows = []
    for chip, place in zip(chips, written.places, strict=True):
        where = {"split": split, "shard": shard, **chip.cell._asdict()}
        rows.append(ChipRow.parse({**chip.facts, **place._asdict(), **where}, chip.id))
    card = ShardCard(
        id=shard,
        plan="0",
        split=split,
        chip_size=SIZE,
        label=True,
        samples=len(chips),
        bytes=written.size,
        sha256=written.sha256,
        rows=tuple(rows),
        statistics={},
        rejections=(),
    )
    storage.write(card_address(uri, shard), card.to_json())
    return card
