"""Real Sentinel chips, from a search of a served STAC API to a sealed dataset: on the lattice nothing is resampled, off
it everything is, knowingly."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from croma.building.fill import fill
from croma.building.prepare import prepare, read_plan
from croma.building.seal import seal
from croma.building.spec import BuildSpec
from croma.errors import InputError
from croma.grid import Cell
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A
from croma.shards.dataset import Dataset, open_dataset
from croma.shards.reader import read_chips, verify
from croma.simulate.server import serve

pytestmark = pytest.mark.slow

RECIPES = Path(__file__).parents[1] / "real"


def spec_of(sample: str, **changes: Any) -> BuildSpec:
    recipe = yaml.safe_load((RECIPES / f"{sample}.yaml").read_text())["dataset"]
    return BuildSpec.parse(recipe | changes, sample)


@dataclass(frozen=True)
class Built:
    files: Path
    dataset: Dataset

    def chips(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Rows of the index with the planes they lead to."""
        rows = self.dataset.rows.to_pylist()
        return list(zip(rows, read_chips(self.dataset, rows), strict=True))


def build(sample: str, catalog: str, uri: str, **changes: Any) -> Dataset:
    prepared = prepare(spec_of(sample, **changes), catalog, uri)
    cards = [fill(read_plan(prepared.plan, shard), uri) for shard in prepared.shards]
    return open_dataset(seal(uri, cards, {}))


@pytest.fixture(scope="module", params=["bigearthnet", "terramind"])
def served(request: pytest.FixtureRequest, real_samples: Path) -> Iterator[tuple[str, str]]:
    with serve(real_samples / request.param) as address:
        yield request.param, address


@pytest.fixture(scope="module")
def built(served: tuple[str, str], real_samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    sample, address = served
    return Built(real_samples / sample, build(sample, address, str(tmp_path_factory.mktemp(sample))))


@pytest.mark.parametrize("served", ["bigearthnet"], indirect=True)
def test_chips_on_the_lattice_equal_their_files(built: Built) -> None:
    chips = built.chips()
    assert len(chips) == 4
    for row, planes in chips:
        assert (row["resampled"], row["reader"], row["cloud"], row["snow"]) == (False, "window", None, None)
        for i, band in enumerate(SENTINEL_1_RTC.bands):
            with rasterio.open(built.files / row["radar_scene"] / f"{band.name}.tif") as dataset:
                decibels = 10 * np.log10(dataset.read(1).astype(np.float64))
            np.testing.assert_array_equal(planes["s1"][i], decibels.astype(np.float16))
        for i, band in enumerate(SENTINEL_2_L2A.bands):
            with rasterio.open(built.files / row["optical_scene"] / f"{band.name}.tif") as dataset:
                expected = dataset.read(1)
            place = SENTINEL_2_L2A.at(band.resolution).index(i)
            np.testing.assert_array_equal(planes[f"s2_{band.resolution}m"][place], expected)


@pytest.mark.parametrize("served", ["terramind"], indirect=True)
def test_chips_off_the_lattice_are_resampled_and_say_so(built: Built) -> None:
    chips = built.chips()
    assert len(chips) == 3
    for row, planes in chips:
        assert (row["resampled"], row["reader"]) == (True, "stack")
        cell, size = Cell(row["epsg"], row["left"], row["top"]), planes["s1"].shape[-1]
        for i, band in enumerate(SENTINEL_2_L2A.bands):
            path = built.files / row["optical_scene"] / f"{band.name}.tif"
            expected = warped(path, cell.geobox(size, band.resolution), 10 / band.resolution)
            found = planes[f"s2_{band.resolution}m"][SENTINEL_2_L2A.at(band.resolution).index(i)]
            assert np.abs(found.astype(int) - np.floor(expected + 0.5)).max() <= 1
        power = warped(built.files / row["radar_scene"] / "vv.tif", cell.geobox(size), 1)
        np.testing.assert_allclose(planes["s1"][0], 10 * np.log10(power), atol=0.02)
        classes = warped(label_of(built.files, row["optical_scene"]), cell.geobox(size), 1, Resampling.nearest)
        np.testing.assert_array_equal(planes["label"], classes)


def label_of(files: Path, optical: str) -> Path:
    return files / optical.replace("S2L2A", "LULC") / "data.tif"


def warped(path: Path, box: Any, ratio: float, resampling: Resampling = Resampling.bilinear) -> np.ndarray:
    """A box as plain rasterio warps it, told the ratio of the resolutions, which it guesses wrong for small files."""
    with rasterio.open(path) as dataset:
        shape = {"transform": Affine(*box.transform), "height": box.height, "width": box.width}
        with WarpedVRT(dataset, crs=dataset.crs, resampling=resampling, XSCALE=ratio, YSCALE=ratio, **shape) as vrt:
            return np.asarray(vrt.read(1), np.float64)


def test_what_is_sealed_verifies(built: Built) -> None:
    assert verify(built.dataset) == []


def test_another_build_is_the_same_byte_for_byte(built: Built, served: tuple[str, str], tmp_path: Path) -> None:
    again = build(*served, str(tmp_path))
    assert [card.sha256 for card in again.cards()] == [card.sha256 for card in built.dataset.cards()]


@pytest.mark.parametrize("served", ["terramind"], indirect=True)
def test_an_unknown_baseline_is_not_guessed(served: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="baseline"):
        build(*served, str(tmp_path), assume_baseline=None)
