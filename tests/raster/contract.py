"""What every way of reading rasters must do, with plain rasterio as the oracle. Subclass it and say how to read."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from croma.errors import UnusableError
from croma.grid import GeoBox
from croma.raster.radiometry import CLASSES, Scaling, scaling
from croma.raster.read import Reader, read_boxes
from croma.raster.window import BlockFile
from tests.raster.scenes import Pixels, block_range, damage, noise, write_tiff

LEFT, TOP = 600_000, 5_400_000


class Patch(NamedTuple):
    """What was read of a box, and how."""

    pixels: Pixels
    reader: Reader


def read_file(file: BlockFile, boxes: Sequence[GeoBox], how: Scaling) -> list[Patch | UnusableError]:
    """The boxes as the automatic reader reads them, from an open file."""
    outs = [np.full((box.height, box.width), 77, how.dtype) for box in boxes]
    results = read_boxes(file, boxes, outs, how)
    return [
        result if isinstance(result, UnusableError) else Patch(out, result)
        for out, result in zip(outs, results, strict=True)
    ]


SCALINGS = {"uint8": CLASSES, "uint16": scaling("optical"), "float32": scaling("radar")}


def box(left: float, top: float, height: int, width: int, resolution: float = 10, epsg: int = 32633) -> GeoBox:
    return GeoBox(epsg, left, top, resolution, height, width)


def inside(row: int, col: int, height: int, width: int, resolution: float = 10) -> GeoBox:
    """A box on the grid of the files that `write_tiff` makes by default."""
    return box(LEFT + col * resolution, TOP - row * resolution, height, width, resolution)


def oracle(path: Path, row: int, col: int, height: int, width: int, how: Scaling) -> Pixels:
    """The window as rasterio reads it, in stored units; what lies outside is nodata."""
    with rasterio.open(path) as dataset:
        missing = np.nan if dataset.dtypes[0] == "float32" else 0
        raw = dataset.read(1, window=Window(col, row, width, height), boundless=True, fill_value=missing)
        return how.convert(raw, how.measured(raw, dataset.nodata))


class ReaderContract:
    """Laws of a reader. Files are on the grid of the boxes here; what else a reader can do is tested beside it."""

    reader: str
    """What it must call itself."""

    def read(self, href: str, boxes: Sequence[GeoBox], how: Scaling) -> list[Patch | UnusableError]:
        raise NotImplementedError

    def pixels(self, path: Path, boxes: Sequence[GeoBox], how: Scaling) -> list[Pixels]:
        patches = self.read(str(path), boxes, how)
        assert all(isinstance(patch, Patch) and patch.reader == self.reader for patch in patches), patches
        return [patch.pixels for patch in patches if isinstance(patch, Patch)]

    @pytest.mark.parametrize("dtype", SCALINGS)
    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        windows=st.lists(
            st.tuples(st.integers(-60, 320), st.integers(-60, 220), st.integers(1, 140), st.integers(1, 140)),
            min_size=1,
            max_size=4,
        )
    )
    def test_any_windows_equal_plain_reads(
        self, tmp_path: Path, dtype: str, windows: list[tuple[int, int, int, int]]
    ) -> None:
        path = tmp_path / f"{dtype}.tif"
        if not path.exists():
            write_tiff(path, noise(1, dtype, 300, 200), blocksize=128)
        how = SCALINGS[dtype]
        found = self.pixels(path, [inside(*window) for window in windows], how)
        for window, pixels in zip(windows, found, strict=True):
            np.testing.assert_array_equal(pixels, oracle(path, *window, how))

    @pytest.mark.parametrize("blocksize", [128, 256, 512])
    @pytest.mark.parametrize("compress", ["deflate", "lzw", "zstd", "none"])
    def test_block_size_and_compression_do_not_matter(self, tmp_path: Path, blocksize: int, compress: str) -> None:
        options = {} if compress == "none" else {"predictor": 2}
        path = write_tiff(
            tmp_path / "a.tif", noise(2, "uint16", 400, 400), blocksize=blocksize, compress=compress, **options
        )
        (pixels,) = self.pixels(path, [inside(100, 250, 120, 120)], SCALINGS["uint16"])
        np.testing.assert_array_equal(pixels, oracle(path, 100, 250, 120, 120, SCALINGS["uint16"]))

    @pytest.mark.parametrize("layout", [{"driver": "GTiff"}, {"driver": "GTiff", "tiled": True, "bigtiff": "yes"}])
    def test_other_tiffs_are_read_too(self, tmp_path: Path, layout: dict[str, object]) -> None:
        path = write_tiff(tmp_path / "a.tif", noise(3, "float32", 150, 170), **layout)
        (pixels,) = self.pixels(path, [inside(20, 30, 96, 96)], SCALINGS["float32"])
        np.testing.assert_array_equal(pixels, oracle(path, 20, 30, 96, 96, SCALINGS["float32"]))

    @pytest.mark.parametrize("resolution", [10, 20, 60])
    def test_every_resolution_is_read(self, tmp_path: Path, resolution: int) -> None:
        path = write_tiff(tmp_path / "a.tif", noise(4, "uint16", 90, 90), resolution=resolution)
        (pixels,) = self.pixels(path, [inside(10, 20, 40, 40, resolution)], SCALINGS["uint16"])
        np.testing.assert_array_equal(pixels, oracle(path, 10, 20, 40, 40, SCALINGS["uint16"]))

    def test_declared_nodata_is_nodata(self, tmp_path: Path) -> None:
        image = noise(5, "float32", 80, 80)
        image[10:20, 30:40], image[40:50] = -32768, 0
        image[60, 60] = 7.5
        path = write_tiff(tmp_path / "a.tif", image, nodata=7.5)
        (pixels,) = self.pixels(path, [inside(0, 0, 80, 80)], SCALINGS["float32"])
        missing = np.isin(image, [-32768, 0, 7.5])
        np.testing.assert_array_equal(np.isnan(pixels), missing)

    def test_a_box_elsewhere_is_nodata(self, tmp_path: Path) -> None:
        path = write_tiff(tmp_path / "a.tif", noise(6, "uint16", 64, 64))
        far, near = self.pixels(path, [box(0, 0, 24, 24), inside(8, 8, 24, 24)], SCALINGS["uint16"])
        assert not far.any()
        assert near.all()

    def test_a_broken_block_costs_only_the_boxes_that_need_it(self, tmp_path: Path) -> None:
        path = write_tiff(tmp_path / "a.tif", noise(7, "uint16", 512, 512), blocksize=256)
        expected = oracle(path, 0, 0, 100, 100, SCALINGS["uint16"])
        damage(path, 1, 1)
        boxes = [inside(0, 0, 100, 100), inside(300, 300, 100, 100), inside(200, 200, 100, 100)]
        good, broken, touching = self.read(str(path), boxes, SCALINGS["uint16"])
        assert isinstance(good, Patch)
        np.testing.assert_array_equal(good.pixels, expected)
        assert isinstance(broken, UnusableError)
        assert isinstance(touching, UnusableError)
        assert "block 1, 1" in str(broken)

    def test_a_truncated_file_costs_only_the_boxes_beyond_the_cut(self, tmp_path: Path) -> None:
        path = write_tiff(tmp_path / "a.tif", noise(8, "uint16", 512, 512), blocksize=256)
        expected = oracle(path, 0, 0, 100, 100, SCALINGS["uint16"])
        offset, _ = block_range(path, 1, 0)
        path.write_bytes(path.read_bytes()[: offset + 100])
        good, cut_off = self.read(str(path), [inside(0, 0, 100, 100), inside(300, 0, 100, 100)], SCALINGS["uint16"])
        assert isinstance(good, Patch)
        np.testing.assert_array_equal(good.pixels, expected)
        assert isinstance(cut_off, UnusableError)

    def test_a_file_without_its_header_is_unusable(self, tmp_path: Path) -> None:
        path = write_tiff(tmp_path / "a.tif", noise(9, "uint16", 64, 64))
        path.write_bytes(path.read_bytes()[:50])
        with pytest.raises(UnusableError):
            self.read(str(path), [inside(0, 0, 24, 24)], SCALINGS["uint16"])

    def test_no_raster_is_unusable(self, tmp_path: Path) -> None:
        (tmp_path / "a.tif").write_text("<html>no such page</html>")
        with pytest.raises(UnusableError):
            self.read(str(tmp_path / "a.tif"), [inside(0, 0, 24, 24)], SCALINGS["uint16"])

    def test_a_missing_file_is_unusable(self, tmp_path: Path) -> None:
        with pytest.raises(UnusableError):
            self.read(str(tmp_path / "none.tif"), [inside(0, 0, 24, 24)], SCALINGS["uint16"])
