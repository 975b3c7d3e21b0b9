"""Laws of pairing: bounded, closest first, one per pass, spread in time; the same whatever the order of the input."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croma.pairing import (
    first_of_each,
    optical_order,
    pass_numbers,
    radar_order,
    refuse_optical,
    refuse_radar,
    spread,
)
from tests.scenes import NOON, optical, radar


def order(*scenes: object) -> list[str]:
    return [scenes[i].id for i in radar_order(NOON, scenes)]  # type: ignore[arg-type, attr-defined]


def test_the_closest_pass_comes_first() -> None:
    assert order(radar("a", 10), radar("b", -9), radar("c", 40)) == ["b", "a", "c"]


def test_of_two_equally_close_the_earlier_comes_first() -> None:
    assert order(radar("a", 10), radar("b", -10)) == ["b", "a"]


def test_slices_of_a_pass_stay_together() -> None:
    """Another platform between two slices of a pass does not come between them."""
    slices = [radar("far", -6.01), radar("near", -6.0)]
    assert order(*slices, radar("other", 6.005, platform="sentinel-1c")) == ["near", "far", "other"]


def test_the_better_product_of_a_pass_wins_even_if_it_is_a_little_farther_in_time() -> None:
    fast = radar("fast", -6.01, timeliness="Fast-24h", orbit_source="RESORB")
    near_real_time = radar("nrt", -6.0, timeliness="NRT-3h", orbit_source="PREORB")
    precise = radar("precise", -6.02, timeliness="Off-line", orbit_source="POEORB")
    assert order(near_real_time, fast) == ["fast", "nrt"]
    assert order(near_real_time, fast, precise) == ["precise", "fast", "nrt"]
    unknown = radar("unknown", -6.0)
    assert order(near_real_time, unknown, fast) == ["fast", "unknown", "nrt"]


def test_the_newest_of_equal_products_wins() -> None:
    old, new = radar("a", -6, produced=NOON), radar("b", -6, produced=NOON + timedelta(days=1))
    assert order(old, new) == ["b", "a"]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(-72, 72), st.integers(0, 3)), min_size=1, max_size=12), st.randoms())
def test_the_order_of_the_input_does_not_matter(times: list[tuple[int, int]], random: object) -> None:
    scenes = [radar(f"s{n}", hours, platform=f"sentinel-1{kind}") for n, (hours, kind) in enumerate(times)]
    expected = order(*scenes)
    random.shuffle(scenes)  # type: ignore[attr-defined]
    assert order(*scenes) == expected
    gaps = [abs(times[int(name[1:])][0]) for name in expected]
    assert gaps == sorted(gaps)


def test_owner_among_overlapping_tiles_and_versions() -> None:
    scenes = [
        optical("old", baseline=2.12, tile="33UUP"),
        optical("later", baseline=5.1, tile="33UVP", produced=NOON + timedelta(days=9)),
        optical("new", baseline=5.1, tile="33UUP", produced=NOON),
        optical("newer", baseline=5.1, tile="33UUP", produced=NOON + timedelta(days=1)),
        optical("unknown", baseline=None),
    ]
    assert [scenes[i].id for i in optical_order(scenes)] == ["newer", "new", "later", "old", "unknown"]


def test_passes() -> None:
    places = np.array([1, 1, 1, 1, 2, 2])
    platforms = np.array([0, 0, 0, 1, 0, 0])
    hours = np.array([0.0, 0.4, 1.7, 0.1, 0.0, 100.0])
    numbers = pass_numbers(places, platforms, hours)
    same = numbers[:, None] == numbers[None, :]
    expected = np.eye(6, dtype=bool)
    expected[0, 1] = expected[1, 0] = True
    assert np.array_equal(same, expected)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"mode": "EW"}, "mode"),
        ({"polarizations": ("VV",)}, "polarization"),
        ({"polarizations": ("HH", "HV")}, "polarization"),
        ({"polarizations": ("vh", "vv")}, None),
        ({"polarizations": (), "mode": None}, None),
    ],
)
def test_radar_that_is_not_used(fields: dict[str, object], reason: str | None) -> None:
    refusal = refuse_radar(radar("a", **fields), None)  # type: ignore[arg-type]
    assert (refusal.reason if refusal else None) == reason


@pytest.mark.parametrize(("state", "used"), [("descending", True), ("ascending", False), (None, False)])
def test_orbit_direction(state: str | None, used: bool) -> None:
    scene = radar("a", orbit_state=state)
    assert (refuse_radar(scene, "descending") is None) == used
    assert refuse_radar(scene, None) is None


@pytest.mark.parametrize(("cloud", "used"), [(80.0, True), (80.1, False), (None, True)])
def test_cloudy_scenes(cloud: float | None, used: bool) -> None:
    refusal = refuse_optical(optical("a", cloud_cover=cloud), 80)
    assert (refusal is None) == used
    if refusal:
        assert (refusal.scene, refusal.reason, refusal.detail) == (
            "a",
            "scene-cloud",
            "80.1 % cloud, at most 80 % wanted",
        )


# Spreading

TABLES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 364), st.booleans()), min_size=1, max_size=40, unique_by=lambda r: r[:2]
)


def choose(rows: list[tuple[int, int, bool]], most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    groups, days, taken = (np.array(column) for column in zip(*rows, strict=True))
    chosen = spread(groups, days.astype(float), np.arange(len(rows)), taken, most, (0.0, 365.0))
    return groups, days, taken, chosen


@settings(max_examples=200)
@given(TABLES, st.integers(1, 6))
def test_as_many_as_wanted_and_no_more(rows: list[tuple[int, int, bool]], most: int) -> None:
    groups, _, taken, chosen = choose(rows, most)
    assert not (chosen & taken).any()
    for place in np.unique(groups):
        here = groups == place
        expected = max(0, min(most - taken[here].sum(), (~taken[here]).sum()))
        assert chosen[here].sum() == expected


@settings(max_examples=200)
@given(TABLES, st.integers(1, 6))
def test_every_part_of_the_span_that_has_a_pair_gets_one(rows: list[tuple[int, int, bool]], most: int) -> None:
    groups, days, taken, chosen = choose(rows, most)
    parts = days * most // 365
    for place in np.unique(groups[~taken]):
        here = groups == place
        if taken[here].any():
            continue
        for part in np.unique(parts[here]):
            members = here & (parts == part)
            best = np.nonzero(members)[0][0]
            assert chosen[best], "the best of a part is taken"


@settings(max_examples=100)
@given(TABLES, st.integers(1, 6), st.randoms())
def test_spreading_ignores_the_order_of_rows(rows: list[tuple[int, int, bool]], most: int, random: object) -> None:
    _, _, _, chosen = choose(rows, most)
    numbers = list(range(len(rows)))
    random.shuffle(numbers)  # type: ignore[attr-defined]
    groups, days, taken = (np.array(column) for column in zip(*[rows[i] for i in numbers], strict=True))
    again = spread(groups, days.astype(float), np.array(numbers), taken, most, (0.0, 365.0))
    assert np.array_equal(again, chosen[numbers])


def test_what_was_taken_keeps_others_away() -> None:
    rows = [(0, 10, True), (0, 20, False), (0, 200, False), (0, 350, False)]
    *_, chosen = choose(rows, 2)
    assert chosen.tolist() == [False, False, True, False], "the other half of the year"
    *_, chosen = choose(rows, 1)
    assert not chosen.any()
    *_, chosen = choose(rows, 3)
    assert chosen.tolist() == [False, False, True, True]


def test_an_empty_part_is_made_up_for_by_what_is_farthest() -> None:
    rows = [(0, 1, False), (0, 5, False), (0, 80, False)]
    *_, chosen = choose(rows, 2)
    assert chosen.tolist() == [True, False, True]


def test_first_of_each() -> None:
    assert first_of_each([2, 1, 5, 4], among=([0, 0, 1, 1],)).tolist() == [1, 3]
    assert first_of_each([1, 1], [2, 1], among=([0, 0],)).tolist() == [1]
    assert first_of_each([], among=([],)).tolist() == []
