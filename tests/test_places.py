import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from croma.grid import Cell, utm_epsg
from croma.keyed import hashed, uniform
from croma.places import Places, zones

CORNERS = st.tuples(
    st.sampled_from([32601, 32633, 32660, 32701, 32760]),
    st.integers(-2000, 20_000).map(lambda n: 60 * n),
    st.integers(-2000, 170_000).map(lambda n: 60 * n),
)


@given(st.lists(CORNERS, min_size=1, max_size=30))
def test_keys_name_places(corners: list[tuple[int, int, int]]) -> None:
    places = Places(*np.array(corners, np.int64).T)
    again = Places.from_keys(places.keys)
    assert [again.cell(i) for i in range(len(corners))] == [Cell(*corner) for corner in corners]
    assert len(set(places.keys.tolist())) == len(set(corners))


@given(st.lists(st.tuples(st.floats(-540, 540), st.floats(-80, 84)), min_size=1, max_size=50))
def test_zones_of_many_points_are_those_of_each(points: list[tuple[float, float]]) -> None:
    longitudes, latitudes = np.array(points).T
    assert zones(longitudes, latitudes).tolist() == [utm_epsg(*point) for point in points]


def test_zones_with_exceptions() -> None:
    points = [(5, 60), (2, 60), (5, 55), (8, 75), (10, 75), (25, 75), (40, 75), (13, 48), (180, 0), (-180, -0.1)]
    longitudes, latitudes = np.array(points, float).T
    assert zones(longitudes, latitudes).tolist() == [
        32632, 32631, 32631, 32631, 32633, 32635, 32637, 32633, 32601, 32701,
    ]  # fmt: skip


def test_bounds_and_centres() -> None:
    places = Places.of(32633, [600, 1200], [6000, 1200])
    assert places.bounds(120).tolist() == [[600, 4800, 1800, 6000], [1200, 0, 2400, 1200]]
    assert places.centres(120).tolist() == [[1200, 5400], [1800, 600]]
    assert places.take(np.array([1])).cell(0).bounds(120) == (1200, 0, 2400, 1200)


@settings(max_examples=30)
@given(st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62))
def test_hashes_depend_on_each_key_and_on_nothing_else(seed: int, key: int) -> None:
    alone = hashed(seed, key)
    assert hashed(seed, np.array([1, key, 2]))[1] == alone
    assert hashed(seed + 1, key) != alone
    assert hashed(key + 1, seed) != alone


def test_draws_are_uniform_and_uncorrelated() -> None:
    grid = uniform(3, np.arange(300)[:, None], np.arange(300)[None, :])
    assert 0 <= grid.min() < grid.max() < 1
    counts = np.histogram(grid, 20, (0, 1))[0]
    assert abs(counts / 90_000 - 0.05).max() < 0.005
    assert abs(np.corrcoef(grid[:-1].ravel(), grid[1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(grid[:, :-1].ravel(), grid[:, 1:].ravel())[0, 1]) < 0.02


def test_draws_are_those_of_the_first_day() -> None:
    # A change here would move every chip of every dataset to another split.
    assert hashed(0, 32633, 33, 445).item() == 0x737345F7B68A452A
