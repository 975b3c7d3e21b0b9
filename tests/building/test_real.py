"""Real Sentinel chips through `fill`: on the lattice nothing is resampled, off it everything is, knowingly."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from croma.building.fill import fill
from croma.building.shard_plan import ShardPlan
from croma.building.spec import Labels, Quality
from croma.catalog.dialects import PLANETARY_COMPUTER
from croma.catalog.scene import Scene
from croma.chip import chip_id
from croma.grid import Cell, snap
from croma.pairing import Pair
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A
from croma.shards.card import ChipRow, ShardCard
from croma.shards.dataset import shard_address
from croma.shards.layout import ChipLayout, decode

LULC = "io-lulc-annual-v02"


def scenes_of(folder: Path) -> dict[str, list[Scene]]:
    """The scenes of an item file by collection, in order, with absolute addresses."""
    found: dict[str, list[Scene]] = {}
    for item in json.loads((folder / "items.json").read_text())["features"]:
        item["links"] = [{"rel": "self", "href": f"{folder}/"}]
        for asset in item["assets"].values():
            asset["href"] = str(folder / asset["href"])
        scene = PLANETARY_COMPUTER.scene(item, item["collection"], "data" if item["collection"] == LULC else None)
        assert isinstance(scene, Scene), scene
        found.setdefault(item["collection"], []).append(scene)
    return found


def centre(scene: Scene, size: int) -> Cell:
    """The cell in the middle of a scene, snapped to the lattice."""
    with rasterio.open(scene.assets["B02"].href) as dataset:
        bounds, epsg = dataset.bounds, dataset.crs.to_epsg()
    half = size * 5
    return Cell(epsg, snap((bounds.left + bounds.right) / 2 - half), snap((bounds.bottom + bounds.top) / 2 + half))


def plan_of(folder: Path, size: int, labels: bool) -> ShardPlan:
    scenes = scenes_of(folder)
    pairs = []
    tiles = scenes.get(LULC, [])
    for n, (radar, optical) in enumerate(zip(scenes["sentinel-1-rtc"], scenes["sentinel-2-l2a"], strict=True)):
        cell = centre(optical, size)
        pairs.append(
            Pair(
                chip=chip_id(cell, optical.time, radar.id, optical.id),
                cell=cell,
                radar=radar.id,
                optical=optical.id,
                labels=(tiles[n].id,) if labels else (),
                gap_hours=(radar.time - optical.time).total_seconds() / 3600,
            )
        )
    used = scenes["sentinel-1-rtc"] + scenes["sentinel-2-l2a"] + (tiles if labels else [])
    return ShardPlan(
        split="train",
        chip_size=size,
        quality=Quality(),
        labels=Labels(collection=LULC, asset="data") if labels else None,
        pairs=tuple(pairs),
        scenes=tuple(sorted(used, key=lambda scene: (scene.collection, scene.id))),
    )


def chips(card: ShardCard, root: Path, layout: ChipLayout) -> list[tuple[ChipRow, dict[str, Any]]]:
    data = Path(shard_address(str(root), card.split, card.id)).read_bytes()
    return [(row, decode(data[row.offset : row.offset + row.length], layout)) for row in card.rows]


def test_chips_on_the_lattice_equal_their_files(real_samples: Path, tmp_path: Path) -> None:
    folder = real_samples / "bigearthnet"
    card = fill(plan_of(folder, 120, labels=False), str(tmp_path))
    assert (card.samples, card.rejections) == (4, ())
    for row, planes in chips(card, tmp_path, ChipLayout(size=120, label=False)):
        assert (row.resampled, row.reader, row.cloud, row.snow) == (False, "window", None, None)
        for i, band in enumerate(SENTINEL_1_RTC.bands):
            with rasterio.open(folder / row.radar_scene / f"{band.name}.tif") as dataset:
                decibels = 10 * np.log10(dataset.read(1).astype(np.float64))
            np.testing.assert_array_equal(planes["s1"][i], decibels.astype(np.float16))
        for i, band in enumerate(SENTINEL_2_L2A.bands):
            with rasterio.open(folder / row.optical_scene / f"{band.name}.tif") as dataset:
                expected = dataset.read(1)
            place = SENTINEL_2_L2A.at(band.resolution).index(i)
            np.testing.assert_array_equal(planes[f"s2_{band.resolution}m"][place], expected)


def test_chips_off_the_lattice_are_resampled_and_say_so(real_samples: Path, tmp_path: Path) -> None:
    folder = real_samples / "terramind"
    card = fill(plan_of(folder, 192, labels=True), str(tmp_path))
    assert (card.samples, card.rejections) == (3, ())
    for row, planes in chips(card, tmp_path, ChipLayout(size=192, label=True)):
        assert (row.resampled, row.reader) == (True, "stack")
        assert planes["label"].all()
        cell = Cell(row.epsg, row.left, row.top)
        for i, band in enumerate(SENTINEL_2_L2A.bands):
            path = folder / row.optical_scene / f"{band.name}.tif"
            expected = warped(path, cell.geobox(192, band.resolution), 10 / band.resolution)
            found = planes[f"s2_{band.resolution}m"][SENTINEL_2_L2A.at(band.resolution).index(i)]
            assert np.abs(found.astype(int) - np.floor(expected + 0.5)).max() <= 1
        power = warped(folder / row.radar_scene / "vv.tif", cell.geobox(192), 1)
        np.testing.assert_allclose(planes["s1"][0], 10 * np.log10(power), atol=0.02)


def warped(path: Path, box: Any, ratio: float) -> np.ndarray:
    """A box as plain rasterio warps it, told the ratio of the resolutions, which it guesses wrong for small files."""
    with rasterio.open(path) as dataset:
        shape = {"transform": Affine(*box.transform), "height": box.height, "width": box.width}
        with WarpedVRT(
            dataset, crs=dataset.crs, resampling=Resampling.bilinear, XSCALE=ratio, YSCALE=ratio, **shape
        ) as vrt:
            return np.asarray(vrt.read(1), np.float64)


@pytest.mark.parametrize("sample", ["bigearthnet", "terramind"])
def test_real_shards_repeat_byte_for_byte(real_samples: Path, tmp_path: Path, sample: str) -> None:
    plan = plan_of(real_samples / sample, 120, labels=False)
    assert fill(plan, str(tmp_path / "a"), threads=1) == fill(plan, str(tmp_path / "b"), threads=9)
