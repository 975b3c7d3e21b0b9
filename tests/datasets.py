"""Whole datasets of noise for tests: shards, cards and index as a build leaves them, without a build."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from croma import storage
from croma.chip import Chip
from croma.sensors import SENTINEL_2_L2A
from croma.shards import index
from croma.shards.card import ChipRow, ShardCard
from croma.shards.dataset import Header, card_address, shard_address, write_header
from croma.shards.layout import ChipLayout
from croma.shards.moments import moments
from croma.shards.writer import write_shard
from tests.conftest import random_chip


def write_dataset(
    root: str, size: int = 24, shards: int = 3, per_shard: int = 8, name: str = "noise", first: int = 0
) -> str:
    """A dataset of noise with a train split only, at version 1, its shards numbered from `first`. Its address."""
    uri = storage.join(root, "datasets", name)
    sources = ("sentinel-1-rtc", "sentinel-2-l2a")
    write_header(uri, Header(format=1, name=name, chip_size=size, label=False, sources=sources))
    cards = []
    for number in range(first, first + shards):
        chips = [random_chip(number * per_shard + i, size) for i in range(per_shard)]
        cards.append(_store(uri, f"shard-{number}", chips, ChipLayout(size=size, label=False)))
    index.commit(uri, cards, {})
    return uri


def _store(uri: str, shard: str, chips: list[Chip], layout: ChipLayout) -> ShardCard:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "shard.tar"
        written = write_shard(path, chips, layout)
        storage.upload(path, shard_address(uri, "train", shard))
    rows = []
    for chip, place in zip(chips, written.places, strict=True):
        where = {"split": "train", "shard": shard, **chip.cell._asdict()}
        rows.append(ChipRow.parse({**chip.facts, **place._asdict(), **where}, chip.id))
    optical = {
        band: np.stack([chip.optical[resolution][position] for chip in chips])
        for resolution in SENTINEL_2_L2A.resolutions
        for position, band in enumerate(SENTINEL_2_L2A.at(resolution))
    }
    card = ShardCard(
        id=shard,
        plan="0",
        split="train",
        chip_size=layout.size,
        label=layout.label,
        samples=len(chips),
        bytes=written.size,
        sha256=written.sha256,
        rows=tuple(rows),
        statistics={
            "radar": moments("radar", np.stack([chip.radar for chip in chips], 1)).statistics(),
            "optical": moments("optical", [optical[band] for band in sorted(optical)]).statistics(),
        },
        rejections=(),
    )
    storage.write(card_address(uri, shard), card.to_json())
    return card
