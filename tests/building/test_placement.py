"""Laws of placement: on the lattice, inside the footprint, owned by one zone."""

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from croma.building.placement import SLACK, CentreSites, LatticeSites, ListedSites, lattice_in, snapped, zone
from croma.catalog.footprint import area_in_degrees, from_degrees, in_metres, to_degrees
from croma.extent import AreaOfInterest
from croma.grid import PIXEL, utm_epsg
from croma.places import Places
from tests.scenes import HERE, optical, square

WORLD = area_in_degrees(AreaOfInterest(bbox=(-180, -90, 180, 90)))


def place(geometry: dict[str, Any], size: int = 120, step: int = 1200, epsg: int = 32633) -> Places:
    return LatticeSites(step, size, WORLD).cells(in_metres(geometry, epsg), epsg)


@settings(max_examples=60, deadline=None)
@given(
    left=st.floats(480_000, 520_000),
    bottom=st.floats(5_000_000, 5_400_000),
    width=st.floats(100, 15_000),
    height=st.floats(100, 15_000),
    size=st.sampled_from([24, 120, 264]),
    spacing=st.sampled_from([60, 300, 1200, 2640]),
)
def test_every_chip_that_fits_is_there_once(
    left: float, bottom: float, width: float, height: float, size: int, spacing: int
) -> None:
    side = size * PIXEL
    if width * height / spacing**2 > 4000:
        return
    found = place(square(left, bottom, left + width, bottom + height), size, spacing)
    assert (found.left % spacing == 0).all()
    assert (found.top % spacing == 0).all()
    assert len(np.unique(found.keys)) == len(found.left)
    expected = {
        (x, y)
        for x in range(int(left // spacing) * spacing - spacing, int(left + width) + spacing, spacing)
        for y in range(int(bottom // spacing) * spacing - spacing, int(bottom + height) + 2 * spacing, spacing)
        if x >= left - SLACK and x + side <= left + width + SLACK and y - side >= bottom - SLACK
        and y <= bottom + height + SLACK
    }  # fmt: skip
    got = set(zip(found.left.tolist(), found.top.tolist(), strict=True))
    border = {
        (x, y)
        for x, y in got ^ expected
        if min(abs(x - left + SLACK), abs(x + side - left - width - SLACK), abs(y - side - bottom + SLACK),
               abs(y - bottom - height - SLACK)) > 1
    }  # fmt: skip
    assert not border, "but for rounding at the very edge"


def test_a_chip_has_its_middle_in_the_area() -> None:
    area = AreaOfInterest(bbox=(15.0, 48.7, 15.1, 48.75))
    found = LatticeSites(1200, 120, area_in_degrees(area)).cells(in_metres(HERE, 32633), 32633)
    everywhere = place(HERE)
    assert 0 < len(found.left) < len(everywhere.left)
    longitude, latitude = to_degrees(32633).transform(*everywhere.centres(120).T)
    inside = (longitude >= 15.0) & (longitude <= 15.1) & (latitude >= 48.7) & (latitude <= 48.75)
    assert set(found.keys) == set(everywhere.keys[inside])


def test_a_footprint_with_a_slanted_edge_keeps_chips_off_it() -> None:
    slanted = {
        "type": "Polygon",
        "coordinates": [
            [list(to_degrees(32633).transform(*p)) for p in [(5e5, 54e5), (52e4, 54e5), (5e5, 542e4), (5e5, 54e5)]]
        ],
    }
    found = place(slanted, step=300)
    shape = in_metres(slanted, 32633).buffer(SLACK + 1, join_style="mitre", mitre_limit=100)
    assert shapely.covers(shape, shapely.box(*found.bounds(120).T)).all()
    assert len(found.left) > 500


@pytest.mark.parametrize(
    ("longitude", "latitude"),
    [(12.0, 48.0), (180.0, 65.0), (24.0, 0.0), (4.5, 64.0), (9.0, 72.5)],
    ids=["zone", "antimeridian", "equator", "Norway", "Svalbard"],
)
def test_ground_at_the_border_of_zones_has_one_owner(longitude: float, latitude: float) -> None:
    """Tiles of all zones reach over the border, but middles of chips lie in one zone each and leave no gap."""
    middles = []
    codes = {utm_epsg(longitude + dx, latitude + dy) for dx in (-0.01, 0.01) for dy in (-0.01, 0.01)}
    assert len(codes) >= 2
    for epsg in codes:
        x, y = from_degrees(epsg).transform(longitude, latitude)
        found = place(square(x - 8000, y - 8000, x + 8000, y + 8000, epsg), 24, 240, epsg)
        lon, lat = to_degrees(epsg).transform(*found.centres(24).T)
        assert {utm_epsg(*point) for point in zip(lon, lat, strict=True)} == {epsg}
        middles.append(np.column_stack((lon, lat)))
    epsg = min(codes)
    x, y = from_degrees(epsg).transform(longitude, latitude)
    points = np.column_stack(from_degrees(epsg).transform(*np.vstack(middles).T)) - (x, y)
    near = points[(np.abs(points) < 5000).all(axis=1)]
    assert len(near) == pytest.approx((10_000 / 240) ** 2, rel=0.05), "each piece of ground belongs to one chip"


def test_one_chip_in_the_middle_of_a_patch() -> None:
    patch = square(404_400, 5_341_200, 405_600, 5_342_400)
    found = CentreSites(120, WORLD).cells(in_metres(patch, 32633), 32633)
    assert [tuple(found.cell(i)) for i in range(len(found.left))] == [(32633, 404_400, 5_342_400)]
    off = square(404_417, 5_341_211, 404_417 + 2240, 5_341_211 + 2240)
    found = CentreSites(216, WORLD).cells(in_metres(off, 32633), 32633)
    [left], [top] = found.left, found.top
    assert left % 60 == top % 60 == 0
    assert abs(left + 1080 - (404_417 + 1120)) <= 30
    assert abs(top - 1080 - (5_341_211 + 1120)) <= 30
    assert len(CentreSites(144, WORLD).cells(in_metres(patch, 32633), 32633).left) == 0, "it does not fit"


def test_a_patch_outside_its_zone_stays_in_the_zone_of_its_files() -> None:
    patch = square(900_000, 5_341_200, 901_200, 5_342_400)
    assert len(CentreSites(120, WORLD).cells(in_metres(patch, 32633), 32633).left) == 1
    assert len(place(patch).left) == 0


@pytest.mark.parametrize(("epsg", "expected"), [(32633, 32633), (32632, 32632), (4326, 32633), (None, 32633)])
def test_zone_of_a_scene(epsg: int | None, expected: int) -> None:
    assert zone(optical("a", epsg=epsg)) == expected


def test_nothing_fits_nowhere() -> None:
    assert len(place(square(500_000, 5_400_000, 500_500, 5_400_500)).left) == 0
    for sites in (LatticeSites(1200, 120, WORLD), CentreSites(120, WORLD), ListedSites(place(HERE), 120)):
        assert len(sites.cells(shapely.Polygon(), 32633).left) == 0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-180, 180), st.floats(-80, 83)), min_size=1, max_size=20),
    st.sampled_from([24, 120, 264]),
)
def test_points_are_snapped_to_the_nearest_chip(points: list[tuple[float, float]], size: int) -> None:
    longitude, latitude = np.array(points).T
    places = snapped(longitude, latitude, size)
    assert (places.left % 60 == 0).all()
    assert (places.top % 60 == 0).all()
    for number, point in enumerate(points):
        epsg = int(places.epsg[number])
        assert epsg == utm_epsg(*point)
        x, y = from_degrees(epsg).transform(*point)
        assert np.abs(places.centres(size)[number] - (x, y)).max() <= 30 + 1e-6


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(498_000, 514_000), st.floats(500, 9000))
def test_listed_places_are_offered_where_they_fit(seed: int, left: float, width: float) -> None:
    rng = np.random.default_rng(seed)
    listed = Places(
        rng.choice([32632, 32633], 200), rng.integers(8300, 8600, 200) * 60, rng.integers(89_900, 90_050, 200) * 60
    )
    listed = listed.take(np.unique(listed.keys, return_index=True)[1])
    footprint = shapely.box(left, 5_394_000, left + width, 5_402_000)
    found = ListedSites(listed, 120).cells(footprint, 32633)
    bounds = listed.bounds(120)
    fits = (bounds[:, 0] >= left - SLACK) & (bounds[:, 2] <= left + width + SLACK)
    fits &= (bounds[:, 1] >= 5_394_000 - SLACK) & (bounds[:, 3] <= 5_402_000 + SLACK) & (listed.epsg == 32633)
    assert set(found.keys) == set(listed.keys[fits])


@pytest.mark.parametrize(
    ("bbox", "codes"),
    [
        ((14.9, 48.6, 15.3, 48.9), {32633}),
        ((11.9, 48.6, 12.1, 48.7), {32632, 32633}),
        ((179.9, -0.05, -179.9, 0.05), {32601, 32660, 32701, 32760}),
        ((2.5, 63.9, 6.5, 64.1), {32631, 32632}),
        ((8.9, 71.9, 9.1, 72.1), {32631, 32632, 32633}),
    ],
)
def test_a_lattice_over_an_area(bbox: tuple[float, float, float, float], codes: set[int]) -> None:
    area = area_in_degrees(AreaOfInterest(bbox=bbox))
    found = lattice_in(area, 1200, 120)
    assert set(found.epsg) == codes
    assert len(np.unique(found.keys)) == len(found.left)
    expected = 0.0
    for epsg in codes:
        here = found.take(found.epsg == epsg)
        longitude, latitude = to_degrees(epsg).transform(*here.centres(120).T)
        assert shapely.intersects_xy(area, longitude, latitude).all()
    west, south, east, north = bbox
    width = (east - west) % 360 * 111_320 * np.cos(np.radians((south + north) / 2))
    expected = width * (north - south) * 111_320 / 1200**2
    assert len(found.left) == pytest.approx(expected, rel=0.1)
