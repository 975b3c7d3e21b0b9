"""A small labelled dataset for tests, written as a build writes it: three land covers that look different."""

from pathlib import Path

import numpy as np
import torch

from croma import storage
from croma.chip import SPLITS, Chip, Split
from croma.grid import Cell
from croma.model.croma import Croma
from croma.model.spec import ModelSpec
from croma.model.weights import Card, save_weights
from croma.sensors import SENTINEL_2_L2A
from croma.shards import index
from croma.shards.card import BandStatistics, ChipRow, ShardCard
from croma.shards.dataset import Header, card_address, shard_address, write_header
from croma.shards.layout import ChipLayout
from croma.shards.moments import moments
from croma.shards.ref import DatasetRef
from croma.shards.writer import write_shard

SIZE = 48
SOURCES = ("esa-worldcover", "sentinel-1-rtc", "sentinel-2-l2a")
LOOKS = {10: (400.0, 3000.0, -9.0), 40: (900.0, 2200.0, -13.0), 80: (300.0, 150.0, -21.0)}
"""By WorldCover code: visible and infrared reflectance, VV in decibels."""
SPEC = ModelSpec(encoder_dim=32, encoder_depth=2, encoder_heads=4, decoder_dim=32, decoder_heads=4, image=SIZE)
CONSTANTS = {
    "radar_mean": (-14.0, -20.0),
    "radar_std": (5.0, 5.0),
    "optical_mean": (1000.0,) * 12,
    "optical_std": (900.0,) * 12,
}


def labelled_chip(number: int, code: int, *, dominance: float = 1.0, nodata: float = 0.0) -> Chip:
    """A chip of one land cover; rows beyond `dominance` are another, columns below `nodata` are missing in radar."""
    rng = np.random.default_rng(number)
    label = np.full((SIZE, SIZE), code, np.uint8)
    other = next(other for other in LOOKS if other != code)
    label[round(SIZE * dominance) :] = other
    look = np.array([LOOKS[int(c)] for c in label.ravel()]).reshape(SIZE, SIZE, 3)
    brightness = rng.normal(1, 0.1)
    radar = np.stack([look[..., 2], look[..., 2] - 6]) + rng.normal(0, 2, (2, SIZE, SIZE))
    radar[:, :, : round(SIZE * nodata)] = np.nan
    bands = {10: "vvvi", 20: "iiiiii", 60: "vv"}

    def plane(kind: str, step: int) -> np.ndarray:
        values = look[::step, ::step, 0 if kind == "v" else 1] * brightness
        return np.clip(values + rng.normal(0, 60, values.shape), 1, 10_000)

    shares = {int(c): float((label == c).mean()) for c in np.unique(label)}
    cell = Cell(32633, 399960 + 480 * (number % 40), 5400000 - 480 * (number // 40))
    return Chip(
        id=f"{cell}_20210623_{number:08x}",
        cell=cell,
        radar=radar.astype(np.float16),
        optical={
            res: np.stack([plane(kind, res // 10) for kind in kinds]).astype(np.uint16) for res, kinds in bands.items()
        },
        label=label,
        facts={
            "longitude": 13.0,
            "latitude": 48.7,
            "radar_scene": f"S1-{number}",
            "optical_scene": f"S2-{number}",
            "radar_time": "2021-06-23T05:10:00+00:00",
            "optical_time": "2021-06-23T10:10:00+00:00",
            "gap_hours": -5.0,
            "optical_nodata": 0.0,
            "radar_nodata": nodata,
            "resampled": False,
            "reader": "window",
            "label": max(shares, key=lambda c: shares[c]),
            "label_shares": shares,
        },
    )


def store_shard(uri: str, folder: Path, shard: str, split: Split, chips: list[Chip]) -> ShardCard:
    """Write a shard and its card as a build does."""
    path = folder / f"{shard}.tar"
    written = write_shard(path, chips, ChipLayout(size=SIZE, label=True))
    storage.upload(path, shard_address(uri, split, shard))
    rows = [
        ChipRow.parse(
            {
                **chip.facts,
                **place._asdict(),
                "split": split,
                "shard": shard,
                "epsg": chip.cell.epsg,
                "left": chip.cell.left,
                "top": chip.cell.top,
            },
            chip.id,
        )
        for chip, place in zip(chips, written.places, strict=True)
    ]
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
        statistics=statistics(chips),
        rejections=(),
    )
    storage.write(card_address(uri, shard), card.to_json())
    return card


def statistics(chips: list[Chip]) -> dict[str, BandStatistics]:
    """Of the pixels of a shard, as a build counts them."""
    optical = {
        band: np.stack([chip.optical[resolution][position] for chip in chips])
        for resolution in SENTINEL_2_L2A.resolutions
        for position, band in enumerate(SENTINEL_2_L2A.at(resolution))
    }
    radar = np.stack([chip.radar for chip in chips], 1)
    bands = {"radar": [band[~np.isnan(band)] for band in radar], "optical": [optical[band] for band in sorted(optical)]}
    return {role: moments(role, values).statistics() for role, values in bands.items()}


def make_dataset(root: str, folder: Path, chips: dict[Split, list[Chip]], shard_size: int = 20) -> DatasetRef:
    """A dataset of the given chips below `root`, version 1."""
    uri = storage.join(root, "datasets", "tiny")
    write_header(uri, Header(format=1, name="tiny", chip_size=SIZE, label=True, sources=SOURCES))
    cards = [
        store_shard(uri, folder, f"{split}-{start:03}", split, members[start : start + shard_size])
        for split, members in chips.items()
        for start in range(0, len(members), shard_size)
    ]
    return DatasetRef(uri=uri, version=index.commit(uri, cards, {}))


def three_classes(per_split: int = 30) -> dict[Split, list[Chip]]:
    """Pure chips of every class in every split, none at the same place."""
    codes = list(LOOKS)
    return {
        split: [labelled_chip(1000 * s + n, codes[n % 3]) for n in range(per_split)] for s, split in enumerate(SPLITS)
    }


def make_weights(path: Path, seed: int = 1, **provenance: str) -> Path:
    """A small network's weights with their card."""
    torch.manual_seed(seed)
    save_weights(path, Croma(SPEC), Card(model=SPEC, normalisation=CONSTANTS, provenance={"step": "7", **provenance}))
    return path
