"""Laws of splitting: far from each other, dependent on the place alone, in the shares that were asked for."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from croma.catalog.footprint import from_degrees, to_degrees
from croma.places import Places, zones
from croma.splits import Blocks, assign, split_of


def lattice(epsg: int, west: float, south: float, columns: int, rows: int, step: int) -> Places:
    lefts = (int(west // step) + np.arange(columns)) * step
    tops = (int(south // step) + np.arange(rows)) * step
    x, y = np.meshgrid(lefts, tops)
    return Places.of(epsg, x.ravel(), y.ravel())


def squares(places: Places, size: int, into: int) -> list[shapely.Polygon]:
    """Chips as polygons in the metres of one zone, whatever their own."""
    shapes = []
    for number in range(len(places.left)):
        left, bottom, right, top = places.bounds(size)[number]
        ring = np.array([(left, bottom), (right, bottom), (right, top), (left, top)]).T
        degrees = to_degrees(int(places.epsg[number])).transform(*ring)
        shapes.append(shapely.Polygon(np.column_stack(from_degrees(into).transform(*degrees))))
    return shapes


def closest(shapes: list[shapely.Polygon], splits: np.ndarray) -> float:
    """The distance between the two nearest chips of different splits."""
    least = np.inf
    for one in range(3):
        for other in range(one):
            a = [s for s, n in zip(shapes, splits, strict=True) if n == one]
            b = [s for s, n in zip(shapes, splits, strict=True) if n == other]
            if a and b:
                tree = shapely.STRtree(a)
                _, distances = tree.query_nearest(b, return_distance=True)
                least = min(least, float(distances.min()))
    return least


@settings(max_examples=25, deadline=None)
@given(
    size=st.sampled_from([24, 120, 264]),
    step=st.sampled_from([240, 600, 1200, 2640]),
    side=st.sampled_from([1200, 2500, 6000, 13_200]),
    buffer=st.sampled_from([0, 100, 1300]),
    seed=st.integers(0, 5),
    shares=st.sampled_from([(0.1, 0.2), (0.3, 0.3), (0.0, 0.5)]),
)
def test_chips_of_different_splits_are_apart(
    size: int, step: int, side: int, buffer: int, seed: int, shares: tuple[float, float]
) -> None:
    places = lattice(32633, 500_000, 5_400_000, 14, 14, step)
    blocks = Blocks(side, *shares, buffer, seed)
    splits, out = assign(places, size, blocks, step)
    bounds = places.bounds(size)[~out]
    shapes = list(shapely.box(*bounds.T))
    distance = closest(shapes, splits[~out])
    assert distance >= buffer
    different = splits[~out][:, None] != splits[~out][None, :]
    overlap = shapely.area(shapely.intersection(np.array(shapes)[:, None], np.array(shapes)[None, :]))
    assert overlap[different].max(initial=0) == 0


@pytest.mark.parametrize(
    ("longitude", "latitude"),
    [(12.0, 48.0), (12.0, -33.0), (180.0, 65.0), (24.0, 0.0), (4.5, 64.0), (9.0, 72.01)],
    ids=["zone", "south", "antimeridian", "equator", "Norway", "Svalbard"],
)
@pytest.mark.parametrize("buffer", [0, 800])
def test_across_the_border_of_zones_too(longitude: float, latitude: float, buffer: int) -> None:
    size, step = 120, 600
    corners = [(longitude + dx, latitude + dy) for dx in (-0.01, 0.01) for dy in (-0.01, 0.01)]
    around = {int(epsg) for epsg in zones(*np.array(corners).T)}
    assert len(around) >= 2
    parts = []
    for epsg in around:
        x, y = from_degrees(epsg).transform(longitude, latitude)
        here = lattice(epsg, x - 9000, y - 9000, 30, 30, step)
        lon, lat = to_degrees(epsg).transform(*here.centres(size).T)
        parts.append(here.take(zones(lon, lat) == epsg))
    places = Places(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    apart = 0
    for seed in range(4):
        splits, out = assign(places, size, Blocks(6000, 0.25, 0.25, buffer, seed), step)
        shapes = squares(places.take(~out), size, max(around))
        kept = splits[~out]
        assert closest(shapes, kept) >= buffer - 2
        tree = shapely.STRtree(shapes)
        one, other = tree.query(shapes, predicate="intersects")
        crossing = kept[one] != kept[other]
        for i, j in zip(one[crossing], other[crossing], strict=True):
            assert shapes[i].intersection(shapes[j]).area < 1
        apart += int(out.sum())
        assert (~out).mean() > 0.2
    assert apart > 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10), st.lists(st.integers(0, 195), min_size=1, max_size=20, unique=True))
def test_a_split_depends_on_the_place_alone(seed: int, chosen: list[int]) -> None:
    x, y = from_degrees(32633).transform(12.0, 48.0)
    places = lattice(32633, x, y, 14, 14, 1200)
    blocks = Blocks(6000, 0.2, 0.2, 500, seed)
    splits, out = assign(places, 264, blocks, 1200)
    index = np.array(chosen)
    some, some_out = assign(places.take(index), 264, blocks, 1200)
    assert np.array_equal(some, splits[index])
    assert np.array_equal(some_out, out[index])
    assert np.array_equal(split_of(places, 264, blocks), splits)


def test_test_chips_are_never_left_out() -> None:
    places = lattice(32633, 500_000, 5_400_000, 60, 60, 1200)
    splits, out = assign(places, 264, Blocks(12_000, 0.2, 0.2, 5000, 1), 1200)
    assert not out[splits == 2].any()
    assert out[splits == 0].any()
    assert out[splits == 1].any()


def test_blocks_on_the_lattice_waste_nothing() -> None:
    places = lattice(32633, 500_000, 5_400_000, 60, 60, 1200)
    splits, out = assign(places, 120, Blocks(12_000, 0.2, 0.2, 0, 1), 1200)
    assert len(np.unique(splits)) == 3
    assert not out.any()


def test_shares_are_kept() -> None:
    places = lattice(32633, 200_000, 5_000_000, 400, 400, 1200)
    splits, _ = assign(places, 120, Blocks(1200, 0.1, 0.2, 0, 7), 1200)
    shares = np.bincount(splits) / len(splits)
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.01)


def test_blocks_are_whole() -> None:
    places = lattice(32633, 480_000, 5_400_000, 40, 40, 1200)
    splits, _ = assign(places, 120, Blocks(12_000, 0.3, 0.3, 0, 3), 1200)
    blocks: dict[tuple[int, int], set[int]] = {}
    for (x, y), split in zip(places.centres(120), splits, strict=True):
        blocks.setdefault((int(x // 12_000), int(y // 12_000)), set()).add(int(split))
    assert len(blocks) >= 16
    assert all(len(found) == 1 for found in blocks.values())


def test_other_seeds_draw_other_blocks() -> None:
    places = lattice(32633, 200_000, 5_000_000, 50, 50, 12_000)
    one, _ = assign(places, 120, Blocks(12_000, 0.1, 0.2, 0, 0), 12_000)
    other, _ = assign(places, 120, Blocks(12_000, 0.1, 0.2, 0, 1), 12_000)
    assert 0.3 < (one != other).mean() < 0.6
