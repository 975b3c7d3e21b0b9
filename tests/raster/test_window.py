from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from croma.errors import UnusableError
from croma.grid import Cell, GeoBox
from croma.raster.header import Header, Window, locate
from croma.raster.radiometry import Scaling
from croma.raster.read import open_file
from croma.raster.rio import RioFile, open_rio, rectangles
from croma.raster.window import Block, Use, blocks_of, read_windows
from tests.raster.contract import Patch, ReaderContract, read_file
from tests.raster.scenes import Pixels, noise, write_tiff


def header(transform: tuple[float, ...], epsg: int | None = 32633, size: int = 10_980, block: int = 512) -> Header:
    return Header(
        epsg=epsg,
        crs="",
        transform=transform,  # type: ignore[arg-type]
        height=size,
        width=size,
        block_height=block,
        block_width=block,
        dtype="uint16",
        nodata=0,
    )


class TestAutomaticReader(ReaderContract):
    reader = "window"

    def read(self, href: str, boxes: Sequence[GeoBox], how: Scaling) -> list[Patch | UnusableError]:
        with open_file(href) as file:
            return read_file(file, boxes, how)


class TestRasterioReader(ReaderContract):
    reader = "window"

    def read(self, href: str, boxes: Sequence[GeoBox], how: Scaling) -> list[Patch | UnusableError]:
        with open_rio(href) as file:
            return read_file(file, boxes, how)


@given(
    resolution=st.sampled_from([10, 20, 60]),
    column=st.integers(-50, 200),
    row=st.integers(-50, 200),
    size=st.sampled_from([24, 120, 264]),
)
def test_every_cell_is_on_the_grid_of_every_sentinel_2_band(resolution: int, column: int, row: int, size: int) -> None:
    cell = Cell(32633, 399_960 + 60 * column, 5_400_000 - 60 * row)
    window = locate(header((resolution, 0, 399_960, 0, -resolution, 5_400_000)), cell.geobox(size, resolution))
    assert window == (row * 60 // resolution, column * 60 // resolution, *[size * 10 // resolution] * 2)


@pytest.mark.parametrize(
    ("transform", "epsg"),
    [
        ((10, 0, 600_004, 0, -10, 5_400_000), 32633),
        ((10, 0, 600_000, 0, -10, 5_400_005.5), 32633),
        ((20, 0, 600_000, 0, -20, 5_400_000), 32633),
        ((10.0001, 0, 600_000, 0, -10.0001, 5_400_000), 32633),
        ((10, 0, 600_000, 0, 10, 5_300_000), 32633),
        ((9.9, 0.1, 600_000, 0.1, -9.9, 5_400_000), 32633),
        ((10, 0, 600_000, 0, -10, 5_400_000), 32632),
        ((10, 0, 600_000, 0, -10, 5_400_000), None),
    ],
    ids=["shifted-x", "shifted-y", "coarser", "stretched", "south-up", "rotated", "other-zone", "no-crs"],
)
def test_other_grids_are_told_apart(transform: tuple[float, ...], epsg: int | None) -> None:
    assert locate(header(transform, epsg), GeoBox(32633, 600_600, 5_399_400, 10, 120, 120)) is None


def test_float_noise_does_not_make_another_grid() -> None:
    noisy = (10.000000001, 0, 600_000.000002, 0, -10.000000001, 5_400_000.000004)
    assert locate(header(noisy), GeoBox(32633, 600_600, 5_399_400, 10, 120, 120)) == Window(60, 60, 120, 120)


def test_blocks_are_those_that_the_windows_touch() -> None:
    users = blocks_of(
        header((10, 0, 0, 0, -10, 0)), [Window(0, 500, 24, 24), Window(-10, -10, 5, 5), Window(0, 0, 9, 9)]
    )
    assert users == {Block(0, 0): [0, 2], Block(0, 1): [0]}


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6))), st.integers(1, 12))
def test_rectangles_partition_blocks(places: set[tuple[int, int]], most: int) -> None:
    blocks = sorted(Block(*place) for place in places)
    found = rectangles(blocks, most)
    assert sorted(block for rectangle in found for block in rectangle) == blocks
    for rectangle in found:
        first, last = rectangle[0], rectangle[-1]
        area = [Block(r, c) for r in range(first.row, last.row + 1) for c in range(first.col, last.col + 1)]
        assert rectangle == area
        assert len(rectangle) <= most


def test_every_block_is_fetched_once(tmp_path: Path) -> None:
    image = noise(1, "uint16", 512, 512)
    path = write_tiff(tmp_path / "a.tif", image, blocksize=128)
    asked: list[Block] = []

    class Counting(RioFile):
        def read_blocks(self, blocks: Sequence[Block], use: Use) -> dict[Block, UnusableError]:
            asked.extend(blocks)
            return super().read_blocks(blocks, use)

    windows = [Window(row, col, 120, 120) for row in range(0, 400, 60) for col in range(0, 400, 60)]
    targets = [np.zeros((120, 120), np.uint16) for _ in windows]
    with rasterio.open(path) as dataset:
        assert read_windows(Counting(str(path), dataset), windows, targets, lambda pixels: pixels) == {}
    assert len(asked) == len(set(asked)) == 16
    for window, target in zip(windows, targets, strict=True):
        np.testing.assert_array_equal(target, image[window.row :, window.col :][:120, :120])


def test_far_parts_of_a_block_are_converted_alone(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(1, "uint16", 512, 512), blocksize=512)
    converted: list[int] = []

    def convert(pixels: Pixels) -> Pixels:
        converted.append(pixels.size)
        return pixels

    with open_file(str(path)) as file:
        for windows in (
            [Window(0, 0, 50, 50), Window(400, 400, 50, 50)],
            [Window(0, 0, 50, 50), Window(0, 50, 50, 50)],
        ):
            read_windows(file, windows, [np.zeros((50, 50), np.uint16) for _ in windows], convert)
    assert converted == [2500, 2500, 5000]
