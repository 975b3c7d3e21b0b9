from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from croma.catalog.footprint import area_in_degrees, covers, in_degrees, in_metres
from croma.errors import InputError, UnusableError
from croma.extent import AreaOfInterest
from tests.catalog.builders import polygon

CUT = {
    "type": "MultiPolygon",
    "coordinates": [polygon(179, 10, 180, 11)["coordinates"], polygon(-180, 10, -179, 11)["coordinates"]],
}
BEYOND = polygon(179, 10, 181, 11)
BEYOND_WEST = polygon(-181, 10, -179, 11)
JUMPING = {"type": "Polygon", "coordinates": [[[179, 10], [-179, 10], [-179, 11], [179, 11], [179, 10]]]}


@pytest.mark.parametrize(
    "geometry", [CUT, BEYOND, BEYOND_WEST, JUMPING], ids=["cut", "beyond", "beyond west", "jumping"]
)
@pytest.mark.parametrize("epsg", [32660, 32601])
def test_four_drawings_across_the_antimeridian_are_one_footprint(geometry: dict[str, Any], epsg: int) -> None:
    degrees, metres = in_degrees(geometry), in_metres(geometry, epsg)
    assert degrees.symmetric_difference(in_degrees(CUT)).area < 1e-9
    assert degrees.area == pytest.approx(2)
    assert shapely.contains_xy(degrees, 179.5, 10.5)
    assert shapely.contains_xy(degrees, -179.5, 10.5)
    assert not shapely.contains_xy(degrees, 0, 10.5)
    assert metres.geom_type == "Polygon"
    assert metres.area == pytest.approx(in_metres(CUT, epsg).area, rel=1e-3)
    assert metres.bounds[2] - metres.bounds[0] < 250_000


def test_a_footprint_round_the_pole_holds_the_pole() -> None:
    ring = [[lon, 85] for lon in range(-180, 181, 30)]
    cap = in_degrees({"type": "Polygon", "coordinates": [ring]})
    assert cap.area == pytest.approx(360 * 5)
    assert shapely.contains_xy(cap, 13, 89.9)
    south = in_degrees({"type": "Polygon", "coordinates": [[[lon, -lat] for lon, lat in ring]]})
    assert shapely.contains_xy(south, 13, -89.9)


def test_the_whole_world_is_not_taken_for_a_crossing() -> None:
    assert in_degrees(polygon(-180, -90, 180, 90)).area == pytest.approx(360 * 180)


def test_an_area_is_taken_at_its_word() -> None:
    wide = AreaOfInterest(bbox=(-170, 0, 170, 1))
    assert area_in_degrees(wide).area == pytest.approx(340)
    across = AreaOfInterest(bbox=(170, 0, -170, 1))
    assert area_in_degrees(across).area == pytest.approx(20)
    with pytest.raises(InputError, match="area"):
        area_in_degrees(AreaOfInterest(geometry={"type": "Polygon", "coordinates": []}))


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        ({"type": "Point", "coordinates": [1, 2]}, "no polygon but Point"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]}, "no area"),
        ({"type": "Nonsense"}, "not a GeoJSON geometry"),
        ({"type": "Polygon"}, "not a GeoJSON geometry"),
        ({"type": "Polygon", "coordinates": []}, "no polygon"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, "not a GeoJSON geometry"),
    ],
)
def test_what_is_no_footprint_is_unusable(geometry: dict[str, Any], message: str) -> None:
    with pytest.raises(UnusableError, match=message):
        in_degrees(geometry)


def test_a_bow_tie_is_repaired() -> None:
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    assert in_degrees(bow).area == pytest.approx(0.5)


def test_a_tile_is_square_again_in_its_own_zone() -> None:
    from croma.catalog.footprint import to_degrees

    corners = [(399960, 5290200), (509760, 5290200), (509760, 5400000), (399960, 5400000), (399960, 5290200)]
    ring = [list(to_degrees(32633).transform(x, y)) for x, y in corners]
    square = in_metres({"type": "Polygon", "coordinates": [ring]}, 32633)
    assert square.bounds == pytest.approx((399960, 5290200, 509760, 5400000), abs=1e-3)
    assert square.area == pytest.approx(109800**2, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=7),
    st.integers(0, 3),
    st.integers(0, 2**32 - 1),
)
def test_covers_agrees_with_shapely(points: list[tuple[int, int]], slack: int, seed: int) -> None:
    shape = shapely.polygons(points) if len(set(points)) > 2 else None
    if shape is None or not shape.is_valid or shape.area == 0:
        return
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-60, 60, (200, 2))
    bounds = np.hstack([corners, corners + rng.uniform(0.5, 20)])
    grown = shape.buffer(slack, join_style="mitre", mitre_limit=1e6)
    near = shapely.distance(shapely.boundary(grown), shapely.box(*bounds.T)) < 1e-6
    expected = shapely.covers(grown, shapely.box(*bounds.T))
    if shape.convex_hull.area == shape.area:
        assert np.array_equal(covers(shape, bounds, slack) | near, expected | near)
    else:
        assert np.array_equal(covers(shape, bounds, 0), shapely.covers(shape, shapely.box(*bounds.T)))


def test_nothing_is_covered_by_nothing() -> None:
    assert not covers(shapely.Polygon(), np.array([[0.0, 0, 1, 1]])).any()
    far = in_metres(polygon(-150, 10, -149, 11), 32633)
    assert not covers(far, np.array([[4e5, 1e6, 4e5 + 10, 1e6 + 10]])).any()
