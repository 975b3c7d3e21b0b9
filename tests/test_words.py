"""Laws of the words: documents, extents, grid, sensors, chip ids."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field
from pyproj import Transformer
from pyproj.aoi import AreaOfInterest as ProjArea
from pyproj.database import query_utm_crs_info

from croma.chip import chip_id
from croma.document import Document, digest
from croma.errors import InputError
from croma.extent import AreaOfInterest, TimeWindow
from croma.grid import LATTICE, Cell, align_down, align_up, check_chip_size, snap, utm_epsg
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A


class Inner(Document):
    share: float = Field(ge=0, le=1)


class Outer(Document):
    name: str
    inner: Inner
    size: int = 3


def test_every_problem_is_listed_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("nam: x\ninner: {share: 2, shore: 1}\nsize: many\n")
    with pytest.raises(InputError) as caught:
        Outer.from_yaml(path)
    text = "\n".join(caught.value.problems)
    for line in (
        "r.yaml: name: is required and missing",
        "r.yaml: nam: is not a known field",
        "r.yaml: inner.share: Input should be less than or equal to 1 (given: 2)",
        "r.yaml: inner.shore: is not a known field",
        "r.yaml: size: Input should be a valid integer",
    ):
        assert line in text
    assert len(caught.value.problems) == 5


def test_yaml_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("a: [1")
    with pytest.raises(InputError, match="not valid YAML"):
        Outer.from_yaml(tmp_path / "r.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        Outer.from_yaml(tmp_path / "absent.yaml")


def test_fingerprint_is_of_content() -> None:
    one = Outer(name="a", inner=Inner(share=0.5))
    assert one.fingerprint == Outer(name="a", inner=Inner(share=0.5), size=3).fingerprint
    assert one.fingerprint != Outer(name="a", inner=Inner(share=0.25)).fingerprint
    assert digest({"b": 1, "a": [2]}) == digest({"a": [2], "b": 1})


@given(st.floats(-1e7, 1e7), st.sampled_from([10, 60, 1200]))
def test_snapping_laws(metres: float, step: int) -> None:
    assert abs(snap(metres, step) - metres) <= step / 2
    assert align_down(metres, step) <= metres < align_down(metres, step) + step
    assert align_up(metres, step) - step < metres <= align_up(metres, step)
    assert {snap(metres, step) % step, align_down(metres, step) % step, align_up(metres, step) % step} == {0}


@given(st.integers(-100, 100), st.integers(-100, 100), st.sampled_from([24, 120, 264]))
def test_all_resolutions_share_the_square(col: int, row: int, size: int) -> None:
    cell = Cell(32633, col * LATTICE, row * LATTICE)
    assert Cell.parse(str(cell)) == cell
    for resolution in SENTINEL_2_L2A.resolutions:
        box = cell.geobox(size, resolution)
        assert box.bounds == cell.bounds(size)
        assert box.height * resolution == size * 10


@pytest.mark.parametrize("size", [0, -24, 100, 128])
def test_wrong_chip_sizes_name_right_ones(size: int) -> None:
    with pytest.raises(ValueError, match="multiple of 24"):
        check_chip_size(size)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(-179_900_000, 179_900_000).map(lambda micro: micro / 1e6),
    st.integers(-79_900_000, 83_900_000).map(lambda micro: micro / 1e6),
)
def test_utm_zone_agrees_with_proj(longitude: float, latitude: float) -> None:
    # PROJ's zones overlap at their borders and know no Norwegian exceptions in area queries: ours must be among its
    # answers wherever the plain six-degree rule holds, and the point must lie within four degrees of the meridian.
    epsg = utm_epsg(longitude, latitude)
    area = ProjArea(longitude, latitude, longitude, latitude)
    found = {int(info.code) for info in query_utm_crs_info("WGS 84", area, contains=True)}
    if not (latitude >= 56 and 0 <= longitude < 42):
        assert epsg in found
    easting, _ = Transformer.from_crs(4326, epsg, always_xy=True).transform(longitude, latitude)
    assert 100_000 < easting < 900_000


@pytest.mark.parametrize(
    ("longitude", "latitude", "epsg"),
    [(5.3, 60.4, 32632), (15.6, 78.2, 32633), (2.9, 60.4, 32631), (180.0, -17.0, 32701), (13.7, 48.2, 32633)],
)
def test_utm_exceptions(longitude: float, latitude: float, epsg: int) -> None:
    # Bergen and Longyearbyen are the exceptions that every textbook names.
    assert utm_epsg(longitude, latitude) == epsg


def test_box_across_the_antimeridian_is_two() -> None:
    area = AreaOfInterest(bbox=(179, -17, -179, -16)).geojson()
    assert area["type"] == "MultiPolygon"
    assert [min(x for x, _ in polygon[0]) for polygon in area["coordinates"]] == [179, -180]


@pytest.mark.parametrize(
    "area",
    [
        {},
        {"bbox": (0, 0, 1, 1), "geometry": {"type": "Polygon", "coordinates": []}},
        {"bbox": (0, 2, 1, 1)},
        {"geometry": {"type": "Point", "coordinates": [0, 0]}},
    ],
)
def test_wrong_areas_are_refused(area: dict[str, object]) -> None:
    with pytest.raises(InputError):
        AreaOfInterest.parse(area, "recipe")


def test_windows_hold_both_days() -> None:
    window = TimeWindow.model_validate({"start": "2021-06-01", "end": "2021-06-30"})
    assert window.contains(datetime(2021, 6, 30, 23, 59, 59, tzinfo=UTC))
    assert not window.contains(datetime(2021, 7, 1, tzinfo=UTC))
    with pytest.raises(InputError, match="before start"):
        TimeWindow.parse({"start": "2021-06-02", "end": "2021-06-01"}, "recipe")


def test_channels_are_those_of_the_released_weights() -> None:
    names = [band.name for band in SENTINEL_2_L2A.bands]
    assert names == ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
    assert {r: len(SENTINEL_2_L2A.at(r)) for r in SENTINEL_2_L2A.resolutions} == {10: 4, 20: 6, 60: 2}
    assert [band.name for band in SENTINEL_1_RTC.bands] == ["vv", "vh"]


def test_chip_ids_tell_scenes_apart_and_fit_tar_keys() -> None:
    cell, day = Cell(32633, 404400, 5342400), datetime(2017, 6, 13, tzinfo=UTC)
    first, second = chip_id(cell, day, "S1A", "S2A"), chip_id(cell, day, "S1B", "S2A")
    assert first != second
    assert first.startswith("32633_404400_5342400_20170613_")
    assert "." not in first
