from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from croma.errors import UnusableError
from croma.grid import GeoBox
from croma.raster.radiometry import CLASSES, Scaling, scaling
from croma.raster.read import open_file
from croma.raster.stack import reach, resample
from croma.raster.window import BlockFile, blank, read_windows
from tests.raster.contract import LEFT, TOP, Patch, ReaderContract, box, read_file
from tests.raster.scenes import Pixels, noise, write_tiff

OPTICAL, RADAR = scaling("optical"), scaling("radar")
BOX = box(LEFT + 600, TOP - 600, 96, 96)


class TestStackReader(ReaderContract):
    """The other reader, made to do what it is not needed for."""

    reader = "stack"

    def read(self, href: str, boxes: Sequence[GeoBox], how: Scaling) -> list[Patch | UnusableError]:
        with open_file(href) as file:
            return [self.read_one(file, wanted, how) for wanted in boxes]

    def read_one(self, file: BlockFile, wanted: GeoBox, how: Scaling) -> Patch | UnusableError:
        header, window = file.header, reach(file.header, wanted)
        raw = blank(header, wanted.height, wanted.width)
        measured = np.zeros(raw.shape, np.bool_)
        if window:
            pixels = blank(header, window.height, window.width)
            errors = read_windows(file, [window], [pixels], lambda part: part)
            if errors:
                return errors[0]
            raw, measured = resample(
                header, window, pixels, how.measured(pixels, header.nodata), wanted, how.resampling
            )
        return Patch(how.convert(raw, measured), "stack")


def warped(path: Path, wanted: GeoBox, how: Scaling) -> Pixels:
    """The box as plain rasterio warps it, from a file without nodata, in stored units.

    GDAL guesses the ratio of the resolutions from the window it happens to read, unless it is told.
    """
    with rasterio.open(path) as dataset:
        assert dataset.nodata is None
        same = dataset.crs.to_epsg() == wanted.epsg
        ratio = {"XSCALE": dataset.res[0] / wanted.resolution, "YSCALE": dataset.res[1] / wanted.resolution}
        with WarpedVRT(
            dataset,
            crs=f"EPSG:{wanted.epsg}",
            transform=Affine(*wanted.transform),
            height=wanted.height,
            width=wanted.width,
            resampling=Resampling[how.resampling],
            add_alpha=True,
            **(ratio if same else {}),
        ) as vrt:
            values, alpha = vrt.read()
    return how.convert(values, alpha > 0)


def read_one(path: Path, wanted: GeoBox, how: Scaling) -> Pixels:
    with open_file(str(path)) as file:
        (patch,) = read_file(file, [wanted], how)
    assert isinstance(patch, Patch)
    assert patch.reader == "stack"
    return patch.pixels


@pytest.mark.parametrize(("resolution", "wanted"), [(10, 10), (10, 20), (10, 60), (20, 10), (12.5, 10)])
def test_a_grid_off_the_lattice_is_warped_as_by_rasterio(tmp_path: Path, resolution: float, wanted: int) -> None:
    image = noise(1, "float32", 400, 400)
    path = write_tiff(tmp_path / "a.tif", image, resolution=resolution, left=LEFT - 3.7, top=TOP + 1.2)
    wanted_box = box(LEFT + 600, TOP - 600, 960 // wanted, 960 // wanted, wanted)
    np.testing.assert_array_equal(read_one(path, wanted_box, RADAR), warped(path, wanted_box, RADAR))


def test_reflectance_is_warped_as_by_rasterio(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(2, "uint16", 300, 300), left=LEFT - 3.7, top=TOP + 1.2)
    np.testing.assert_allclose(read_one(path, BOX, OPTICAL), warped(path, BOX, OPTICAL), atol=1)


@pytest.mark.parametrize("epsg", [32632, 4326, 3857])
def test_another_crs_is_warped_as_by_rasterio(tmp_path: Path, epsg: int) -> None:
    bounds = rasterio.warp.transform_bounds("EPSG:32633", f"EPSG:{epsg}", *BOX.bounds)
    step = (bounds[2] - bounds[0]) / 120
    path = write_tiff(
        tmp_path / "a.tif",
        noise(3, "uint8", 250, 250),
        epsg=epsg,
        transform=Affine(step, 0, bounds[0] - 60 * step, 0, -step, bounds[3] + 60 * step),
    )
    np.testing.assert_array_equal(read_one(path, BOX, CLASSES), warped(path, BOX, CLASSES))


def test_a_rotated_file_is_warped_as_by_rasterio(tmp_path: Path) -> None:
    turned = Affine.translation(LEFT + 200, TOP - 1_000) * Affine.rotation(20) * Affine.scale(10, -10)
    path = write_tiff(tmp_path / "a.tif", noise(4, "uint8", 300, 300), transform=turned, driver="GTiff", tiled=True)
    found = read_one(path, BOX, CLASSES)
    assert found.any()
    np.testing.assert_array_equal(found, warped(path, BOX, CLASSES))


@pytest.mark.parametrize("how", [OPTICAL, RADAR], ids=["optical", "radar"])
def test_nodata_does_not_bleed(tmp_path: Path, how: Scaling) -> None:
    """GDAL carries NaN into every pixel that a NaN contributes to: that is which pixels must be nodata."""
    image = noise(5, "float32", 300, 300) * 1000
    image[90, 90], image[120:130, 100:140] = 0, 0
    shift = {"left": LEFT - 3.7, "top": TOP + 1.2}
    path = write_tiff(tmp_path / "a.tif", image, nodata=0, **shift)
    holes = write_tiff(tmp_path / "nan.tif", np.where(image == 0, np.nan, image).astype(np.float32), **shift)
    found = read_one(path, BOX, how)
    with rasterio.open(holes) as dataset:
        profile = {"transform": Affine(*BOX.transform), "height": 96, "width": 96, "resampling": Resampling.bilinear}
        with WarpedVRT(dataset, crs=dataset.crs, **profile) as vrt:
            values = vrt.read(1)
    expected = how.convert(values, ~np.isnan(values))
    assert np.isnan(values).sum() == 4 + 11 * 41
    np.testing.assert_array_equal(found, expected)


def test_a_box_that_reaches_beyond_the_file_is_nodata_there(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(6, "uint16", 100, 100), left=LEFT - 3.7, top=TOP + 1.2)
    found = read_one(path, box(LEFT + 600, TOP - 600, 96, 96), OPTICAL)
    assert found[:39, :39].all()
    assert not found[41:].any()
    assert not found[:, 41:].any()


def test_a_box_elsewhere_is_nodata(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(6, "uint16", 100, 100), left=LEFT - 3.7)
    assert not read_one(path, box(LEFT + 60_000, TOP, 24, 24), OPTICAL).any()


def test_a_file_without_crs_is_unusable(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(7, "uint16", 100, 100), epsg=None, driver="GTiff")
    with open_file(str(path)) as file, pytest.raises(UnusableError, match="coordinate reference system"):
        read_file(file, [BOX], OPTICAL)


def test_radar_is_averaged_before_the_logarithm(tmp_path: Path) -> None:
    image = np.ones((200, 200), np.float32)
    image[:, ::2] = 100
    path = write_tiff(tmp_path / "a.tif", image, left=LEFT + 5)
    found = read_one(path, box(LEFT + 600, TOP - 600, 24, 24), RADAR)
    np.testing.assert_allclose(found, 10 * np.log10(50.5), atol=0.01)


def test_what_stackstac_drops_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from croma.raster import stack

    path = write_tiff(tmp_path / "a.tif", noise(8, "uint16", 100, 100), left=LEFT - 3.7)
    real = stack.stackstac.stack
    monkeypatch.setattr(stack.stackstac, "stack", lambda *a, **k: real(*a, **k)[:, :1])
    with open_file(str(path)) as file, pytest.raises(AssertionError, match="stackstac made"):
        read_file(file, [box(LEFT, TOP, 24, 24)], OPTICAL)
