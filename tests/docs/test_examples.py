"""The examples in the docs run as they stand, over a dataset that the shard writer made."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from croma.chip import SPLITS
from croma.shards import index
from croma.shards.card import ChipRow, ShardCard
from croma.shards.dataset import Header, card_address, shard_address, write_header
from croma.shards.layout import ChipLayout
from croma.shards.moments import moments
from croma.shards.writer import write_shard
from tests.conftest import random_chip

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str) -> dict[str, str]:
    """The python blocks of a page by the heading above them."""
    text = (DOCS / page).read_text()
    return dict(re.findall(r"^## (.+?)$(?:(?!^## ).)*?```python\n(.*?)```", text, re.MULTILINE | re.DOTALL))


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    uri = str(tmp_path / "dataset")
    write_header(uri, Header(format=1, name="d", chip_size=24, label=False, sources=()))
    cards = []
    for number, split in enumerate(SPLITS):
        chips = [random_chip(10 * number + n) for n in range(3)]
        path = Path(shard_address(uri, split, f"s{number}"))
        path.parent.mkdir(parents=True)
        written = write_shard(path, chips, ChipLayout(size=24, label=False))
        rows = tuple(
            ChipRow.parse(
                {**c.facts, **p._asdict(), **c.cell._asdict(), "split": split, "shard": f"s{number}", "cloud": 0.0},
                c.id,
            )
            for c, p in zip(chips, written.places, strict=True)
        )
        cards.append(
            ShardCard(
                id=f"s{number}",
                plan="0",
                split=split,
                chip_size=24,
                label=False,
                samples=3,
                bytes=written.size,
                sha256=written.sha256,
                rows=rows,
                statistics={"radar": moments("radar", np.stack([c.radar for c in chips], 1)).statistics()},
                rejections=(),
            )
        )
        path = Path(card_address(uri, f"s{number}"))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(cards[-1].to_json())
    index.commit(uri, cards, {})
    return uri


def run(heading: str, dataset: str) -> dict[str, Any]:
    scope: dict[str, Any] = {"dataset": dataset}
    exec(blocks("use-a-dataset.md")[heading], scope)
    return scope


def test_webdataset(dataset: str) -> None:
    scope = run("WebDataset reads a shard", dataset)
    np.testing.assert_array_equal(scope["radar"], random_chip(0).radar)
    np.testing.assert_array_equal(scope["optical"], random_chip(0).optical[10])
    assert scope["facts"]["chip"] == random_chip(0).id


def test_duckdb(dataset: str) -> None:
    scope = run("DuckDB asks the index", dataset)
    assert scope["answer"] == [("test", 3, 5.0, 0.0), ("train", 3, 5.0, 0.0), ("val", 3, 5.0, 0.0)]


def test_xarray_and_rasterio(dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope = run("xarray and rasterio show a chip", dataset)
    row = scope["row"]
    with rasterio.open("chip.tif") as raster:
        assert (raster.bounds.left, raster.bounds.top, raster.crs.to_epsg()) == (row.left, row.top, row.epsg)
        np.testing.assert_array_equal(raster.read(), scope["radar"].astype("float32"))
    assert scope["brightest"] == scope["radar"][0].max()


def test_every_example_is_run() -> None:
    assert len(blocks("use-a-dataset.md")) == 3
