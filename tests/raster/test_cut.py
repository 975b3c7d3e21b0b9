from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from croma.building.spec import Quality
from croma.catalog.scene import Asset, Scene
from croma.chip import Rejection
from croma.errors import TransientError
from croma.raster.cut import Cut, Subject, cut
from croma.raster.faults import RefusedError
from croma.raster.radiometry import scaling
from croma.raster.read import Unsigned, Want, read_wants
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A
from tests.raster.scenes import SIZE, damage, edit, make_pair, make_scene, write_optical, write_radar

Files = dict[str, Path]


@pytest.fixture
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


@pytest.fixture
def optical_files(tmp_path: Path) -> Files:
    return write_optical(tmp_path, pixels=60)


@pytest.fixture
def radar_files(tmp_path: Path) -> Files:
    return write_radar(tmp_path, pixels=60)


def subject(radar: Files, optical: Files, column: int = 0, row: int = 0, **fields: Any) -> Subject:
    scenes = (
        make_scene(
            "radar", radar, orbit_state="ascending", relative_orbit=15, time=datetime(2021, 6, 23, 5, tzinfo=UTC)
        ),
        make_scene("optical", optical, relative_orbit=22, tile="33UVP", baseline=2.12, **fields),
    )
    return Subject(make_pair(*scenes, column, row), *scenes)


def one(case: Subject, pool: Executor, **limits: float) -> Cut | Rejection:
    (result,) = cut([case], SIZE, Quality(**limits), Unsigned(), pool)
    return result


def raw(path: Path, row: int, col: int, side: int) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read(1))[row : row + side, col : col + side]


def test_a_chip_is_the_pixels_of_its_files(radar_files: Files, optical_files: Files, pool: Executor) -> None:
    found = one(subject(radar_files, optical_files, column=2, row=3), pool)
    assert isinstance(found, Cut)
    chip = found.chip
    for i, band in enumerate(SENTINEL_1_RTC.bands):
        power = raw(radar_files[band.name], 18, 12, SIZE)
        np.testing.assert_array_equal(chip.radar[i], (10 * np.log10(power.astype(np.float64))).astype(np.float16))
    for resolution in (10, 20, 60):
        for place, i in enumerate(SENTINEL_2_L2A.at(resolution)):
            row, col, side = (n * 10 // resolution for n in (18, 12, SIZE))
            expected = raw(optical_files[SENTINEL_2_L2A.bands[i].name], row, col, side)
            np.testing.assert_array_equal(chip.optical[resolution][place], expected)
    assert found.clear is not None
    assert found.clear.all()


def test_facts_say_where_a_chip_is_from(radar_files: Files, optical_files: Files, pool: Executor) -> None:
    found = one(subject(radar_files, optical_files), pool)
    assert isinstance(found, Cut)
    assert found.chip.facts == {
        "longitude": pytest.approx(16.362, abs=1e-3),
        "latitude": pytest.approx(48.744, abs=1e-3),
        "radar_scene": "radar-scene",
        "optical_scene": "optical-scene",
        "radar_time": "2021-06-23T05:00:00+00:00",
        "optical_time": "2021-06-23T10:10:00+00:00",
        "gap_hours": pytest.approx(-5.1667, abs=1e-3),
        "orbit_state": "ascending",
        "radar_relative_orbit": 15,
        "optical_relative_orbit": 22,
        "baseline": 2.12,
        "tile": "33UVP",
        "cloud": 0.0,
        "snow": 0.0,
        "optical_nodata": 0.0,
        "radar_nodata": 0.0,
        "resampled": False,
        "reader": "window",
    }


def test_the_offset_of_an_asset_is_removed_but_not_from_classes(
    radar_files: Files, optical_files: Files, pool: Executor
) -> None:
    found = one(subject(radar_files, optical_files, offset=-1000.0), pool)
    assert isinstance(found, Cut)
    np.testing.assert_array_equal(found.chip.optical[10][0], raw(optical_files["B02"], 0, 0, SIZE) - 1000)
    assert found.chip.facts["cloud"] == 0


def test_cloud_is_refused_without_reading_the_bands(
    tmp_path: Path, radar_files: Files, optical_files: Files, pool: Executor
) -> None:
    edit(optical_files["SCL"], lambda pixels: pixels[:4].fill(9))
    for band in ("B02", "B8A"):
        optical_files[band] = tmp_path / "never-opened.tif"
    found = one(subject(radar_files, optical_files), pool)
    assert isinstance(found, Rejection)
    assert found.reason == "cloud"
    assert found.detail == "optical-scene: 0.3333 of the pixels, at most 0.1 allowed"


def test_without_a_classification_the_sky_is_unknown(radar_files: Files, optical_files: Files, pool: Executor) -> None:
    del optical_files["SCL"]
    found = one(subject(radar_files, optical_files), pool, max_cloud=0)
    assert isinstance(found, Cut)
    assert found.clear is None
    assert found.chip.facts["cloud"] is found.chip.facts["snow"] is None


@pytest.mark.parametrize(("band", "value"), [("vh", 0), ("vv", -32768), ("vv", np.nan)])
def test_zero_filled_radar_is_nodata(
    radar_files: Files, optical_files: Files, pool: Executor, band: str, value: float
) -> None:
    edit(radar_files[band], lambda pixels: pixels[:, :6].fill(value))
    found = one(subject(radar_files, optical_files), pool)
    assert isinstance(found, Rejection)
    assert (found.reason, found.detail) == ("radar-nodata", "radar-scene: 0.2500 of the pixels, at most 0 allowed")
    kept = one(subject(radar_files, optical_files), pool, max_radar_nodata=0.25)
    assert isinstance(kept, Cut)
    assert kept.chip.facts["radar_nodata"] == 0.25
    assert np.isnan(kept.chip.radar).any(axis=0).mean() == 0.25


def test_an_optical_hole_is_refused(radar_files: Files, optical_files: Files, pool: Executor) -> None:
    edit(optical_files["B09"], lambda pixels: pixels[0, :1].fill(0))
    found = one(subject(radar_files, optical_files), pool)
    assert isinstance(found, Rejection)
    assert found.reason == "optical-nodata"
    assert found.detail.startswith("optical-scene: 0.0625")


def missing_file(path: Path) -> None:
    path.unlink()


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def corrupt(path: Path) -> None:
    damage(path, 0, 0)


@pytest.mark.parametrize("fault", [missing_file, cut_short, corrupt])
@pytest.mark.parametrize("band", ["vh", "B8A", "SCL"])
def test_a_bad_file_is_unreadable_and_named(
    radar_files: Files, optical_files: Files, pool: Executor, fault: Callable[[Path], None], band: str
) -> None:
    fault((radar_files | optical_files)[band])
    found = one(subject(radar_files, optical_files), pool, max_radar_nodata=1, max_optical_nodata=1)
    assert isinstance(found, Rejection)
    assert found.reason == "unreadable"
    assert found.detail.startswith(f"{'radar' if band == 'vh' else 'optical'}-scene {band}: ")


def test_a_bad_file_costs_only_the_pairs_that_need_it(
    tmp_path: Path, radar_files: Files, optical_files: Files, pool: Executor
) -> None:
    other = write_optical(tmp_path, "other", seed=1, pixels=60)
    good = subject(radar_files, other, name="other-scene")
    bad = subject(radar_files, optical_files | {"B04": tmp_path / "gone.tif"})
    results = cut([bad, good, bad], SIZE, Quality(), Unsigned(), pool)
    assert [type(result) for result in results] == [Rejection, Cut, Rejection]


def test_an_asset_that_the_scene_lacks_is_unreadable(radar_files: Files, optical_files: Files, pool: Executor) -> None:
    del optical_files["B11"]
    found = one(subject(radar_files, optical_files), pool)
    assert isinstance(found, Rejection)
    assert found.detail == "optical-scene B11: the scene has no such asset"


def test_resampling_is_recorded(tmp_path: Path, optical_files: Files, pool: Executor) -> None:
    radar = write_radar(tmp_path, "off", pixels=60, left=599_996)
    found = one(subject(radar, optical_files, column=1, row=1), pool)
    assert isinstance(found, Cut)
    assert (found.chip.facts["resampled"], found.chip.facts["reader"]) == (True, "stack")
    np.testing.assert_array_equal(found.chip.optical[10][0], raw(optical_files["B02"], 6, 6, SIZE))


def test_the_order_of_pairs_changes_no_chip(radar_files: Files, optical_files: Files, pool: Executor) -> None:
    cases = [subject(radar_files, optical_files, column, row) for column in range(4) for row in range(3)]
    forward = cut(cases, SIZE, Quality(), Unsigned(), pool)
    backward = cut(cases[::-1], SIZE, Quality(), Unsigned(), pool)[::-1]
    for a, b in zip(forward, backward, strict=True):
        assert isinstance(a, Cut)
        assert isinstance(b, Cut)
        assert a.chip.id == b.chip.id
        assert a.chip.facts == b.chip.facts
        np.testing.assert_array_equal(a.chip.radar, b.chip.radar)


class Signer:
    """Signs with a token that the files refuse until it is renewed."""

    def __init__(self, good_after: int) -> None:
        self.renewals, self.good_after = 0, good_after

    def sign(self, href: str) -> str:
        return href if self.renewals >= self.good_after else f"refused:{href}"

    def renew(self, refused: str) -> str:
        self.renewals += 1
        return self.sign(refused.removeprefix("refused:"))


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    from croma.raster import read

    real = read.open_file

    def open_file(href: str) -> Any:
        if href.startswith("refused:"):
            raise RefusedError("access refused (HTTP 403)")
        return real(href)

    monkeypatch.setattr(read, "open_file", open_file)


@pytest.mark.usefixtures("refusing")
def test_a_refused_signature_is_renewed_once(radar_files: Files, pool: Executor) -> None:
    scene = make_scene("radar", radar_files)
    box = make_pair(scene, scene).cell.geobox(SIZE)
    want = Want(scene, "vv", box, np.zeros((SIZE, SIZE), np.float16), scaling("radar"))
    signer = Signer(good_after=1)
    assert read_wants([want], signer, pool) == ["window"]
    assert want.out.all()
    assert signer.renewals == 1


@pytest.mark.usefixtures("refusing")
def test_refusal_of_everything_is_an_outage_and_not_bad_data(
    radar_files: Files, optical_files: Files, pool: Executor
) -> None:
    with pytest.raises(TransientError, match="credentials"):
        cut([subject(radar_files, optical_files)], SIZE, Quality(), Signer(good_after=99), pool)


class Secretive(Unsigned):
    def sign(self, href: str) -> str:
        return f"{href}?sig=SECRET"


def test_no_signature_reaches_a_rejection(radar_files: Files, optical_files: Files, pool: Executor) -> None:
    case = subject(radar_files, optical_files)
    assets = case.optical.assets | {"B02": Asset(href=str(optical_files["B02"]) + "-gone.tif")}
    broken = Scene.model_validate(case.optical.model_dump() | {"assets": assets})
    (found,) = cut([case._replace(optical=broken)], SIZE, Quality(), Secretive(), pool)
    assert isinstance(found, Rejection)
    assert "SECRET" not in found.detail
