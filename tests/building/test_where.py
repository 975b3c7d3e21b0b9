"""Laws of the strategies: snapped, in the area, apart, stable under more draws, as many of each class as asked for."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from croma.building.placement import ListedSites
from croma.building.plan import make_plan
from croma.building.points import read_points
from croma.building.spec import BuildSpec
from croma.building.thinning import EARTH, apart
from croma.building.where import CITIES, sites
from croma.catalog.footprint import area_in_degrees, to_degrees
from croma.catalog.scene import Asset
from croma.errors import InputError
from croma.extent import AreaOfInterest
from croma.places import Places
from tests.scenes import AREA, label, optical, radar


def spec(placement: dict[str, Any], **changes: Any) -> BuildSpec:
    fields: dict[str, Any] = {
        "name": "test",
        "area": AREA,
        "window": {"start": "2021-01-01", "end": "2021-12-31"},
        "chip_size": 120,
        "placement": placement,
    }
    return BuildSpec.model_validate(fields | changes)


def listed(document: BuildSpec, *args: Any) -> Places:
    found = sites(document, *args)
    assert isinstance(found, ListedSites)
    return found.places


def middles(places: Places, size: int = 120) -> tuple[np.ndarray, np.ndarray]:
    longitude, latitude = np.zeros(len(places.left)), np.zeros(len(places.left))
    for epsg in np.unique(places.epsg):
        here = places.epsg == epsg
        longitude[here], latitude[here] = to_degrees(int(epsg)).transform(*places.take(here).centres(size).T)
    return longitude, latitude


def distances(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    x, y = np.radians(longitude), np.radians(latitude)
    points = np.column_stack((np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)))
    return EARTH * np.arccos(np.clip(points @ points.T, -1, 1))


# Keeping apart


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(179.9, 180.1), st.floats(-0.1, 0.1)), min_size=1, max_size=60),
    st.sampled_from([0, 500, 3000]),
    st.integers(0, 60),
)
def test_the_first_of_two_that_are_too_near_is_kept(points: list[tuple[float, float]], metres: int, part: int) -> None:
    longitude, latitude = np.array(points).T
    kept = apart(longitude, latitude, metres)
    away = distances(longitude, latitude)
    expected: list[int] = []
    for number in range(len(points)):
        if all(away[number, other] >= metres * (1 - 1e-6) for other in expected):
            expected.append(number)
    borderline = np.abs(away - metres) < 1
    np.fill_diagonal(borderline, False)
    if metres == 0:
        assert kept.all()
    elif not borderline.any():
        assert np.nonzero(kept)[0].tolist() == expected
    if part:
        assert np.array_equal(apart(longitude[:part], latitude[:part], metres), kept[:part])


# Points


def write(folder: Path, kind: str, points: list[tuple[float, float]]) -> str:
    path = folder / f"points.{kind}"
    if kind == "csv":
        rows = "".join(f"{n},{y},{x}\n" for n, (x, y) in enumerate(points))
        path.write_text(f"# a comment\nname,latitude,longitude\n{rows}")
    elif kind == "geojson":
        shapes = [{"type": "Feature", "geometry": {"type": "Point", "coordinates": [*p, 100.0]}} for p in points]
        path.write_text(json.dumps({"type": "FeatureCollection", "features": shapes}))
    else:
        column = [shapely.to_wkb(shapely.Point(point)) for point in points]
        pq.write_table(pa.table({"geometry": pa.array(column, pa.binary())}), path)
    return str(path)


POINTS = [(15.01, 48.61), (15.05, 48.65), (15.0501, 48.65), (40.0, 10.0), (15.08, 48.72), (15.01, 48.61)]


@pytest.mark.parametrize("kind", ["csv", "geojson", "parquet"])
def test_points_of_a_file(tmp_path: Path, kind: str) -> None:
    address = write(tmp_path, kind, POINTS)
    longitude, latitude = read_points(address)
    assert np.column_stack((longitude, latitude)) == pytest.approx(np.array(POINTS))
    places = listed(spec({"kind": "points", "file": address}))
    assert len(places.left) == 3, "in the area, each place once"
    far = listed(spec({"kind": "points", "file": address, "min_distance_m": 6000}))
    assert len(far.left) == 2, "the second is 5.3 km from the first"


def test_points_from_storage(s3_root: str, tmp_path: Path) -> None:
    from croma import storage

    storage.write(f"{s3_root}/points.csv", Path(write(tmp_path, "csv", POINTS)).read_bytes())
    assert len(read_points(f"{s3_root}/points.csv")[0]) == 6


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"1,2", r"read from .csv, .geojson and .parquet, not from .txt"),
        ("a.csv", b"lon,lat\n1,2\n", "has no column latitude and no column longitude"),
        ("a.csv", b"longitude,latitude\n1,2\nx,3\n", "point 2 is not two numbers: 'x', '3'"),
        ("a.csv", b"longitude,latitude\n", "has no points"),
        ("a.csv", b"longitude,latitude\n1,2\n3,95\n", r"point 2 is not on Earth: \(3.0, 95.0\)"),
        ("a.geojson", b"[1]", "not a GeoJSON FeatureCollection"),
        (
            "a.geojson",
            b'{"features": [{"geometry": {"type": "Polygon", "coordinates": []}}]}',
            "geometries that are no points: Polygon",
        ),
        ("a.parquet", b"nonsense", "not a Parquet file"),
    ],
)
def test_wrong_files_of_points(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_points(str(tmp_path / name))


def test_files_of_points_that_do_not_help(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.csv does not exist"):
        read_points(str(tmp_path / "none.csv"))
    address = write(tmp_path, "csv", [(100.0, 10.0)])
    with pytest.raises(InputError, match=r"no point of .*points.csv lies in the area"):
        sites(spec({"kind": "points", "file": address}))


def test_a_plan_over_points(tmp_path: Path) -> None:
    address = write(tmp_path, "csv", POINTS)
    plan = make_plan(
        spec({"kind": "points", "file": address}), [optical("o"), optical("p", 48)], [radar("r", -5), radar("s", 50)]
    )
    pairs = [pair for shard in plan.shards for pair in shard.pairs]
    assert {pair.optical for pair in pairs} == {"o", "p"}
    assert len({pair.cell for pair in pairs}) == 1, "one point lies in the footprint"


# Cities


def test_the_cities_of_the_world() -> None:
    longitude, latitude = read_points(str(CITIES))
    assert len(longitude) == 10_000
    shanghai = np.hypot(longitude[0] - 121.5, latitude[0] - 31.2)
    assert shanghai < 0.5


EUROPE = {"area": {"bbox": (-10, 36, 30, 60)}}


def test_more_draws_keep_those_that_were_drawn_before() -> None:
    few = listed(spec({"kind": "cities", "draws": 3000, "min_distance_m": 1200}, **EUROPE))
    more = listed(spec({"kind": "cities", "draws": 6000, "min_distance_m": 1200}, **EUROPE))
    other = listed(spec({"kind": "cities", "draws": 3000, "min_distance_m": 1200}, **EUROPE, seed=1))
    assert set(few.keys) < set(more.keys)
    assert len(set(few.keys) & set(other.keys)) < 5
    longitude, latitude = middles(more)
    europe = area_in_degrees(AreaOfInterest.model_validate(EUROPE["area"])).buffer(0.001)
    inside = shapely.intersects_xy(europe, longitude, latitude)
    assert inside.all()
    away = distances(longitude, latitude)
    np.fill_diagonal(away, np.inf)
    assert away.min() >= 1199


def test_distances_from_the_city_are_gaussian(tmp_path: Path) -> None:
    address = write(tmp_path, "csv", [(15.0, 48.0), (100.0, 10.0)])
    rule = {"kind": "cities", "draws": 4000, "std_km": 20, "largest": 1, "file": address}
    longitude, latitude = middles(listed(spec(rule, area={"bbox": (10, 40, 20, 55)})))
    north = (latitude - 48) * 111.2
    east = (longitude - 15) * 111.3 * np.cos(np.radians(48))
    assert len(north) > 3900
    for offset in (north, east):
        assert offset.mean() == pytest.approx(0, abs=1)
        assert offset.std() == pytest.approx(20, rel=0.05)
    assert abs(np.corrcoef(north, east)[0, 1]) < 0.05


# Stratified


@pytest.fixture
def cover(tmp_path: Path) -> str:
    """A layer in degrees: forest in the west, fields in the east with one town, nothing north of 48.85."""
    pixels = np.full((600, 800), 40, np.uint8)
    pixels[:, :400] = 10
    pixels[300:330, 600:640] = 50
    pixels[:150] = 0
    path = tmp_path / "cover.tif"
    profile = {"driver": "GTiff", "height": 600, "width": 800, "count": 1, "dtype": "uint8", "crs": 4326, "nodata": 0}
    with rasterio.open(path, "w", transform=from_origin(14.8, 49.0, 0.001, 0.001), **profile) as file:
        file.write(pixels, 1)
    return str(path)


def stratified(cover: str, **rule: Any) -> Places:
    old = label("old", 2020).model_copy(update={"assets": {"label": Asset(href="/nowhere.tif")}})
    new = label("new", 2021).model_copy(update={"assets": {"label": Asset(href=cover)}})
    return listed(spec({"kind": "stratified", "per_class": 20, **rule}), [old, new])


def classes(places: Places) -> dict[str, int]:
    longitude, latitude = middles(places)
    town = (longitude > 15.4) & (longitude < 15.44) & (latitude < 48.7) & (latitude > 48.67)
    return {"forest": int((longitude < 15.2).sum()), "fields": int(((longitude > 15.2) & ~town).sum())}


def test_as_many_places_of_every_class(cover: str) -> None:
    places = stratified(cover)
    assert classes(places) == {"forest": 20, "fields": 20}
    assert middles(places)[1].max() < 48.86, "where the layer has nothing is no place"
    assert (places.left % 1200 == 0).all()


def test_wanted_classes_alone(cover: str) -> None:
    assert classes(stratified(cover, classes=(10,))) == {"forest": 20, "fields": 0}
    with pytest.raises(InputError, match=r"no place of the area has a wanted class in esa-worldcover \(1 tiles"):
        stratified(cover, classes=(95,))


def test_a_larger_quota_keeps_what_was_chosen(cover: str) -> None:
    few, more = stratified(cover), stratified(cover, per_class=40)
    assert set(few.keys) < set(more.keys)
    assert classes(more) == {"forest": 40, "fields": 40}


def test_chosen_places_are_apart(cover: str) -> None:
    longitude, latitude = middles(stratified(cover, min_distance_m=3000))
    away = distances(longitude, latitude)
    np.fill_diagonal(away, np.inf)
    assert away.min() >= 2999
    assert len(longitude) > 20
