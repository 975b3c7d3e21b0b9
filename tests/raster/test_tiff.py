import logging
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from croma.errors import TransientError, UnusableError
from croma.raster import codec, rio
from croma.raster.faults import RefusedError
from croma.raster.header import Header
from croma.raster.read import open_file
from croma.raster.rio import open_rio
from croma.raster.source import open_source
from croma.raster.tiff import UnsupportedError, read_layout
from tests.raster.contract import SCALINGS, inside, read_file
from tests.raster.scenes import block_range, damage, noise, write_tiff
from tests.servers.ranges import FileServer, serve_files

OPTICAL = SCALINGS["uint16"]


def gdal_header(path: Path) -> Header:
    with open_rio(str(path)) as file:
        return file.header


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"blocksize": 512, "overviews": "AUTO"},
        {"driver": "GTiff"},
        {"driver": "GTiff", "blockysize": 7, "compress": "lzw"},
        {"driver": "GTiff", "tiled": True, "blockxsize": 128, "blockysize": 64},
        {"driver": "GTiff", "tiled": True, "bigtiff": "yes", "compress": "zstd"},
        {"driver": "GTiff", "tiled": True, "compress": "none", "predictor": 1},
        {"epsg": 4326, "transform": Affine(8.3e-5, 0, 15.0, 0, -8.3e-5, 49.0)},
        {"nodata": -32768},
        {"nodata": np.nan},
    ],
    ids=str,
)
def test_the_header_is_what_gdal_says(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(1, "float32", 333, 421), **options)
    found, expected = read_layout(open_source(str(path))).header, gdal_header(path)
    for name in Header.__slots__:
        if name != "crs":
            assert getattr(found, name) == pytest.approx(getattr(expected, name), nan_ok=True), name
    assert rasterio.CRS.from_string(found.crs) == rasterio.CRS.from_string(expected.crs)


@pytest.mark.parametrize("options", [{}, {"driver": "GTiff"}, {"driver": "GTiff", "tiled": True, "bigtiff": "yes"}])
def test_blocks_lie_where_gdal_says(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(1, "uint16", 600, 700), **options)
    layout = read_layout(open_source(str(path)))
    columns = -(-700 // layout.header.block_width)
    for number, place in enumerate(zip(layout.offsets, layout.sizes, strict=True)):
        assert place == block_range(path, number // columns, number % columns)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("predictor", [1, "as providers do"])
def test_every_type_is_decoded(tmp_path: Path, dtype: str, predictor: int | str) -> None:
    image = (noise(2, "float32", 200, 300) * 1000).astype(dtype)
    options = {"predictor": 1} if predictor == 1 else {"predictor": 3 if dtype.startswith("f") else 2}
    path = write_tiff(tmp_path / "a.tif", image, blocksize=128, **options)
    layout = read_layout(open_source(str(path)))
    data = open_source(str(path)).ranges(layout.offsets[:1], layout.sizes[:1])[0]
    found = codec.decode(data, layout.compression, layout.predictor, np.dtype(dtype), 128, 128)
    np.testing.assert_array_equal(found, image[:128, :128])


@pytest.mark.parametrize(
    "options",
    [
        {"driver": "GTiff", "endianness": "BIG"},
        {"driver": "GTiff", "tiled": True, "compress": "lerc", "predictor": 1},
        {"driver": "GTiff", "tiled": True, "compress": "packbits", "predictor": 1},
        {"driver": "GTiff", "epsg": None},
        {"driver": "GTiff", "transform": Affine.rotation(20) * Affine.scale(10, -10)},
        {"driver": "PNG", "epsg": None, "compress": None, "predictor": None},
    ],
    ids=str,
)
def test_rare_files_are_left_to_gdal(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(3, "uint16", 100, 100), **options)
    with pytest.raises(UnsupportedError):
        read_layout(open_source(str(path)))


def test_a_header_beyond_the_first_bytes_is_fetched(tmp_path: Path) -> None:
    image = noise(4, "uint8", 1600, 1600)
    path = write_tiff(tmp_path / "a.tif", image, driver="GTiff", tiled=True, blockxsize=16, blockysize=16)
    layout = read_layout(open_source(str(path)))
    assert len(layout.offsets) == 10_000
    with open_file(str(path)) as file:
        (patch,) = read_file(file, [inside(1000, 1000, 500, 500)], SCALINGS["uint8"])
    np.testing.assert_array_equal(getattr(patch, "pixels", None), image[1000:1500, 1000:1500])


def test_a_block_that_was_never_written_is_nodata(tmp_path: Path) -> None:
    image = noise(5, "uint16", 512, 512)
    image[:256, :256] = 0
    path = write_tiff(tmp_path / "a.tif", image, nodata=0, driver="GTiff", tiled=True, sparse_ok=True)
    assert read_layout(open_source(str(path))).sizes[0] == 0
    with open_file(str(path)) as file:
        (patch,) = read_file(file, [inside(200, 200, 120, 120)], OPTICAL)
    np.testing.assert_array_equal(getattr(patch, "pixels", None), image[200:320, 200:320])


@pytest.mark.parametrize("compress", ["deflate", "lzw", "zstd"])
@pytest.mark.parametrize(
    "options", [{"blocksize": 256}, {"driver": "GTiff", "blockysize": 256}], ids=["tiles", "strips"]
)
def test_no_damage_goes_unnoticed(tmp_path: Path, compress: str, options: dict[str, Any]) -> None:
    """GDAL hands out pixels of its own making for some of these."""
    path = write_tiff(tmp_path / "a.tif", noise(6, "uint16", 512, 256), compress=compress, **options)
    offset, size = block_range(path, 1, 0)
    whole, right = path.read_bytes(), read_block(path, 1)
    noticed = 0
    for start in range(0, size - 300, size // 12):
        data = bytearray(whole)
        data[offset + start : offset + start + 200] = np.random.default_rng(start).bytes(200)
        path.write_bytes(data)
        found = read_block(path, 1)
        noticed += isinstance(found, UnusableError)
        if compress == "deflate":
            assert isinstance(found, UnusableError)
    path.write_bytes(whole)
    assert noticed
    np.testing.assert_array_equal(read_block(path, 1), right)


def read_block(path: Path, row: int) -> Any:
    with open_file(str(path)) as file:
        (patch,) = read_file(file, [inside(row * 256, 0, 256, 256)], OPTICAL)
    return getattr(patch, "pixels", patch)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    write_tiff(tmp_path / "a.tif", noise(7, "uint16", 1024, 1024), blocksize=256)
    with serve_files(tmp_path) as state:
        yield state


def test_over_http_every_block_is_fetched_once_and_the_header_once(server: FileServer, tmp_path: Path) -> None:
    boxes = [inside(row, col, 120, 120) for row in range(0, 900, 100) for col in range(0, 900, 100)]
    with open_file(server.url("a.tif")) as file:
        found = read_file(file, boxes, OPTICAL)
    with open_file(str(tmp_path / "a.tif")) as file:
        expected = read_file(file, boxes, OPTICAL)
    for patch, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(getattr(patch, "pixels", 0), getattr(other, "pixels", 1))
    sent = sorted(server.ranges)
    assert all(before[2] <= after[1] for before, after in pairwise(sent[1:]))
    assert server.bytes <= (tmp_path / "a.tif").stat().st_size + 33_000
    assert server.requests["a.tif"] <= 4


def test_a_block_behind_the_end_costs_only_its_boxes(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    offset, _ = block_range(path, 3, 0)
    path.write_bytes(path.read_bytes()[:offset])
    with open_file(server.url("a.tif")) as file:
        good, gone = read_file(file, [inside(0, 0, 100, 100), inside(800, 100, 100, 100)], OPTICAL)
    assert not isinstance(good, UnusableError)
    assert isinstance(gone, UnusableError)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rio.ENVIRONMENT, "GDAL_HTTP_MAX_RETRY", "1")
    monkeypatch.setitem(rio.ENVIRONMENT, "GDAL_HTTP_RETRY_DELAY", "0.01")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, RefusedError), (403, RefusedError), (404, UnusableError), (429, TransientError), (503, TransientError)],
)
def test_gdal_tells_faults_apart_and_keeps_secrets(
    server: FileServer, caplog: pytest.LogCaptureFixture, status: int, kind: type[Exception]
) -> None:
    server.faults["a.tif"] = [status]
    with caplog.at_level(logging.DEBUG), pytest.raises(kind) as caught, open_rio(server.url("a.tif?sig=SECRET")):
        pass
    assert type(caught.value) is kind
    assert "SECRET" not in str(caught.value) + caplog.text


@pytest.mark.usefixtures("quick")
def test_gdal_does_not_call_an_outage_a_damaged_block(server: FileServer, tmp_path: Path) -> None:
    boxes = [inside(800, 100, 100, 100)]
    with open_rio(server.url("a.tif")) as file:
        server.faults["a.tif"] = [503]
        with pytest.raises(TransientError):
            read_file(file, boxes, OPTICAL)
    server.faults.clear()
    damage(tmp_path / "a.tif", 3, 0)
    with open_rio(server.url("a.tif")) as file:
        (broken,) = read_file(file, boxes, OPTICAL)
    assert isinstance(broken, UnusableError)
