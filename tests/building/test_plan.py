"""Laws of the plan: a function of recipe, scenes and what is there; every chip once; nothing silent."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croma.building.plan import Plan, make_plan
from croma.building.shard_plan import ShardPlan
from croma.building.spec import BuildSpec
from croma.catalog.footprint import in_metres
from croma.catalog.scene import Scene
from croma.chip import chip_id
from croma.errors import InputError
from croma.grid import Cell
from croma.pairing import Pair, optical_order
from tests.scenes import AREA, label, optical, radar, square


def spec(**changes: Any) -> BuildSpec:
    fields: dict[str, Any] = {
        "name": "test",
        "area": AREA,
        "window": {"start": "2021-01-01", "end": "2021-12-31"},
        "chip_size": 120,
        "chips_per_shard": 20,
        "split": {"block_km": 2.4, "val": 0.2, "test": 0.2},
    }
    return BuildSpec.model_validate(fields | changes)


def pairs(plan: Plan) -> list[Pair]:
    return [pair for shard in plan.shards for pair in shard.pairs]


def ids(plan: Plan) -> list[str]:
    return [shard.id for shard in plan.shards]


EAST = square(506_340, 5_390_340, 518_460, 5_402_460)
OPTICAL = [optical(f"o{n}", 24 * n) for n in range(5)] + [
    optical(f"e{n}", 24 * n + 0.001, EAST, tile="33UWP") for n in range(5)
]
RADAR = [radar(f"r{n}", 24 * n - 7) for n in range(5)]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(spec(), OPTICAL, RADAR)


# What a plan holds


def test_every_place_gets_its_pairs_once(plan: Plan) -> None:
    chips = pairs(plan)
    assert len({pair.chip for pair in chips}) == len(chips)
    assert set(Counter(pair.cell for pair in chips).values()) == {4}, "per_cell"
    assert sum(plan.chips.values()) == len(chips)
    # 10 × 10 places in each tile; those in the 5 × 10 of the overlap once
    assert len({pair.cell for pair in chips}) == 150
    assert plan.scenes == {"sentinel-1-rtc": len({p.radar for p in chips}), "sentinel-2-l2a": 8}


def test_where_tiles_overlap_the_owner_is_the_same_on_every_date(plan: Plan) -> None:
    shared = [p for p in pairs(plan) if 506_400 <= p.cell.left < 512_400]
    assert len(shared) == 50 * 4
    assert {p.optical[0] for p in shared} == {"o"}, "33UVP before 33UWP"


def test_footprints_cover_their_chips(plan: Plan) -> None:
    shapes = {scene.id: in_metres(scene.geometry, 32633).buffer(21) for scene in [*OPTICAL, *RADAR]}
    from shapely.geometry import box

    for pair in pairs(plan):
        chip = box(*pair.cell.bounds(120))
        assert shapes[pair.optical].covers(chip)
        assert shapes[pair.radar].covers(chip)


def test_ids_gaps_and_scenes_agree(plan: Plan) -> None:
    for shard in plan.shards:
        for pair in shard.pairs:
            optical_scene, radar_scene = shard.optical(pair), shard.radar(pair)
            gap = (radar_scene.time - optical_scene.time).total_seconds() / 3600
            assert pair.gap_hours == pytest.approx(gap, abs=1e-3)
            assert pair.chip == chip_id(pair.cell, optical_scene.time, radar_scene.id, optical_scene.id)
            assert abs(pair.gap_hours) <= 17.1, "the closest pass"
        used = {pair.optical for pair in shard.pairs} | {pair.radar for pair in shard.pairs}
        assert {scene.id for scene in shard.scenes} == used, "nothing that is not needed"


def test_shards_are_of_one_split_and_equally_large(plan: Plan) -> None:
    by_split: dict[str, list[int]] = {}
    for shard in plan.shards:
        by_split.setdefault(shard.split, []).append(len(shard.pairs))
    assert {split: sum(sizes) for split, sizes in by_split.items()} == {k: n for k, n in plan.chips.items() if n}
    for sizes in by_split.values():
        assert max(sizes) <= 20
        assert max(sizes) - min(sizes) <= 1
    places: dict[Cell, set[str]] = {}
    for shard in plan.shards:
        for pair in shard.pairs:
            places.setdefault(pair.cell, set()).add(shard.split)
    assert all(len(splits) == 1 for splits in places.values()), "a place is in one split, on all its dates"


def test_shards_are_dense_and_their_order_is_drawn(plan: Plan) -> None:
    scenes = [len({pair.optical for pair in shard.pairs}) for shard in plan.shards if shard.split == "train"]
    assert sum(scenes) / len(scenes) < 2.5
    orders = [[pair.cell for pair in shard.pairs] for shard in plan.shards]
    assert all(order != sorted(order) for order in orders if len(order) > 5)
    other = make_plan(spec(seed=1), OPTICAL, RADAR)
    assert ids(other) != ids(plan)


def test_plans_travel_as_json(plan: Plan) -> None:
    shard = plan.shards[0]
    again = ShardPlan.model_validate_json(shard.to_json())
    assert again == shard
    assert again.id == shard.id
    assert again.optical(again.pairs[0]) == shard.optical(shard.pairs[0])


def test_shards_are_counted_from_either_end(plan: Plan) -> None:
    assert plan.shards[-1] == plan.shards[len(plan.shards) - 1]
    assert [shard.id for shard in plan.shards[1:3]] == ids(plan)[1:3]
    with pytest.raises(IndexError):
        plan.shards[len(plan.shards)]


TILES = st.lists(
    st.tuples(
        *[st.integers(0, 14)] * 2, *[st.integers(4, 16)] * 2, st.sampled_from((2.12, 3.0, 5.1)), st.integers(0, 3)
    ),
    min_size=1,
    max_size=5,
)
"""Left, bottom, width and height in 600 m, baseline, and number of the MGRS tile."""


@settings(max_examples=15, deadline=None)
@given(TILES)
def test_however_tiles_overlap_each_place_has_one_owner(tiles: list[tuple[int, int, int, int, float, int]]) -> None:
    """It is the best product of those that cover the place, and no place that one covers goes without."""
    boxes = [(500_340 + 600 * x, 5_390_340 + 600 * y, 600 * w, 600 * h) for x, y, w, h, *_ in tiles]
    scenes = [
        optical(f"s{n}", n * 0.001, square(x, y, x + w, y + h), baseline=baseline, tile=f"33UV{'ABCD'[tile]}")
        for n, ((x, y, w, h), (*_, baseline, tile)) in enumerate(zip(boxes, tiles, strict=True))
    ]
    owners: dict[tuple[int, int], str] = {}
    for number in optical_order(scenes):
        x, y, w, h = boxes[number]
        for left in range(x // 1200 * 1200 + 1200, x + w - 1199, 1200):
            for top in range((y + h) // 1200 * 1200, y + 1199, -1200):
                owners.setdefault((left, top), f"s{number}")
    made = pairs(make_plan(spec(), scenes, [radar("r", -7)])) if owners else []
    assert len(made) == len(owners)
    assert {(pair.cell.left, pair.cell.top): pair.optical for pair in made} == owners


# Purity


@settings(max_examples=6, deadline=None)
@given(st.permutations(OPTICAL), st.permutations(RADAR))
def test_the_order_of_the_search_does_not_matter(some: Sequence[Scene], others: Sequence[Scene]) -> None:
    assert ids(make_plan(spec(), some, others)) == ids(make_plan(spec(), OPTICAL, RADAR))


def test_items_that_come_twice_count_once(plan: Plan) -> None:
    assert ids(make_plan(spec(), OPTICAL + OPTICAL, RADAR + RADAR)) == ids(plan)


def test_what_is_there_is_not_planned_again(plan: Plan) -> None:
    chips = [pair.chip for pair in pairs(plan)]
    again = make_plan(spec(), OPTICAL, RADAR, known=chips)
    assert len(again.shards) == 0
    assert sum(again.chips.values()) == 0


def test_what_is_missing_is_planned_and_nothing_else(plan: Plan) -> None:
    chips = {pair.chip for pair in pairs(plan)}
    held = {shard_pair.chip for shard in list(plan.shards)[::2] for shard_pair in shard.pairs}
    rest = {pair.chip for pair in pairs(make_plan(spec(), OPTICAL, RADAR, known=held))}
    assert rest.isdisjoint(held)
    assert Counter(chip.rsplit("_", 2)[0] for chip in rest | held) == Counter(chip.rsplit("_", 2)[0] for chip in chips)


def test_a_reprocessed_product_does_not_double_what_is_there(plan: Plan) -> None:
    chips = [pair.chip for pair in pairs(plan)]
    newer = [scene.model_copy(update={"id": f"{scene.id}-new", "baseline": 5.1}) for scene in OPTICAL]
    assert len(make_plan(spec(), OPTICAL + newer, RADAR, known=chips).shards) == 0
    fresh = make_plan(spec(), OPTICAL + newer, RADAR)
    assert all(pair.optical.endswith("-new") for pair in pairs(fresh))
    assert Counter(refusal.reason for refusal in fresh.refused)["duplicate"] == 10


def test_a_dataset_that_grows_by_years_keeps_what_it_has() -> None:
    yearly = {"per_cell": 2, "each": "year"}
    year = 365 * 24
    scenes = [optical(f"o{n}", n * 30 * 24) for n in range(-4, 5)]
    later = [optical(f"p{n}", year + n * 30 * 24) for n in range(-4, 5)]
    passes = [radar(f"r{n}", n * 30 * 24 - 5) for n in range(-4, 5)]
    passes += [radar(f"q{n}", year + n * 30 * 24 - 5) for n in range(-4, 5)]
    first = make_plan(spec(pair=yearly), scenes, passes)
    chips = [pair.chip for pair in pairs(first)]
    both = spec(pair=yearly, window={"start": "2021-01-01", "end": "2022-12-31"})
    second = make_plan(both, scenes + later, passes, known=chips)
    assert all(pair.optical.startswith("p") for pair in pairs(second))
    assert len(pairs(second)) == len(chips) == 200
    whole = make_plan(both, scenes + later, passes)
    assert {pair.chip for pair in pairs(whole)} == set(chips) | {pair.chip for pair in pairs(second)}


def test_chips_of_somebody_else_are_an_error() -> None:
    with pytest.raises(InputError, match="'patch-17' that this pipeline did not make"):
        make_plan(spec(), OPTICAL, RADAR, known=["patch-17"])


# Radar and labels


def test_a_chip_needs_one_radar_scene_that_covers_it() -> None:
    west = radar("west", -1, square(400_000, 5_300_000, 504_600, 5_500_000))
    east = radar("east", -2, square(504_600, 5_300_000, 600_000, 5_500_000))
    plan = make_plan(spec(), [OPTICAL[0]], [west, east])
    for pair in pairs(plan):
        assert pair.radar == ("west" if pair.cell.left < 504_000 else "east")
    assert {pair.cell.left for pair in pairs(plan)}.isdisjoint({504_000})
    lone = [r for r in plan.rejections if r.reason == "no-pair"]
    assert {r.cell.left for r in lone} == {504_000}
    assert lone[0].detail == "no radar footprint covers the chip, at most 72 h wanted"


def test_the_next_pass_serves_where_the_closest_does_not_reach() -> None:
    half = radar("close", -1, square(400_000, 5_300_000, 505_200, 5_500_000))
    plan = make_plan(spec(), [OPTICAL[0]], [half, radar("next", 30)])
    assert {(pair.cell.left < 504_001, pair.radar) for pair in pairs(plan)} == {(True, "close"), (False, "next")}


def test_labels_of_the_nearest_year_under_each_chip() -> None:
    tiles = [
        label("w20", 2020, square(400_000, 5_300_000, 504_600, 5_500_000)),
        label("e20", 2020, square(504_600, 5_300_000, 600_000, 5_500_000)),
        label("w22", 2022, square(400_000, 5_300_000, 504_600, 5_500_000)),
    ]
    plan = make_plan(spec(labels={}), [OPTICAL[0]], RADAR, tiles)
    for shard in plan.shards:
        for pair in shard.pairs:
            names = tuple(scene.id for scene in shard.label(pair))
            west, east = pair.cell.left < 504_600, pair.cell.left + 1200 > 504_600
            assert names == pair.labels == ("e20",) * east + ("w20",) * west
    late = make_plan(spec(labels={}, window={"start": "2023-01-01", "end": "2023-12-31"}),
                     [optical("late", 365 * 48)], [radar("r", 365 * 48)], tiles)  # fmt: skip
    assert {pair.labels for pair in pairs(late) if pair.cell.left + 1200 < 504_600} == {("w22",)}
    assert {pair.labels for pair in pairs(late) if pair.cell.left > 504_600} == {("e20",)}


# What is refused


def test_unused_scenes_are_told() -> None:
    scenes = [OPTICAL[0], optical("cloudy", 24, cloud_cover=99.0), optical("alone", 24 * 60)]
    plan = make_plan(spec(), scenes, [RADAR[0], radar("wide", -1, mode="EW")])
    assert {(r.scene, r.reason) for r in plan.refused} == {
        ("cloudy", "scene-cloud"),
        ("alone", "no-pair"),
        ("wide", "mode"),
    }


def test_places_too_near_another_split_are_told() -> None:
    plan = make_plan(spec(split={"block_km": 2.4, "val": 0.2, "test": 0.2, "buffer_m": 500}), OPTICAL, RADAR)
    near = {rejection.cell for rejection in plan.rejections if rejection.reason == "split-buffer"}
    kept = {pair.cell for pair in pairs(plan)}
    assert near
    assert near.isdisjoint(kept)
    assert len(near) + len(kept) == 150


def test_a_gap_too_wide_is_told_with_the_closest_pass() -> None:
    with pytest.raises(InputError) as caught:
        make_plan(spec(pair={"max_gap_hours": 6}), OPTICAL, RADAR)
    assert str(caught.value) == (
        "no pair within 6 h: over 150 places of a chip the closest radar pass is 7.0 h away; raise pair.max_gap_hours"
    )


@pytest.mark.parametrize(
    ("optical_scenes", "radar_scenes", "changes", "message"),
    [
        (
            [],
            RADAR,
            {},
            r"found no sentinel-2-l2a scene in the box \[14.9, .*from 2021-01-01 to 2021-12-31: take a lon",
        ),
        (OPTICAL, [], {}, "found no sentinel-1-rtc scene"),
        (
            [optical("c", cloud_cover=90.0)],
            RADAR,
            {},
            r"none of the 1 sentinel-2-l2a .*\(1 scene-cloud; for example c: 90",
        ),
        (OPTICAL, [radar("x", mode="EW")], {}, r"none of the 1 sentinel-1-rtc .*1 mode"),
        (OPTICAL, RADAR, {"chip_size": 2400}, r"no chip of 2400 px \(24000 m\) lies in both"),
        (
            OPTICAL,
            [radar("far", 0, square(0, 0, 9, 9))],
            {},
            "no pair: no radar footprint covers any of the 150 places",
        ),
        (
            OPTICAL,
            RADAR,
            {"area": {"bbox": (14.9, 48.5, 15.0, 48.6)}},
            "no chip of 120 px",
        ),
    ],
)
def test_plans_that_cannot_be_made_say_why(
    optical_scenes: list[Scene], radar_scenes: list[Scene], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_plan(spec(**changes), optical_scenes, radar_scenes)


def test_a_single_place_too_near_another_split_is_an_error() -> None:
    messages = []
    for seed in range(20):
        rule = {"block_km": 0.1, "val": 0.4, "test": 0.3}
        try:
            make_plan(spec(split=rule, seed=seed, placement={"kind": "centres"}), OPTICAL[:1], RADAR)
        except InputError as error:
            messages.append(str(error))
    assert 5 < len(messages) < 20
    assert set(messages) == {
        "all 1 places are too near a block of another split: take larger split.block_km or a smaller split.buffer_m"
    }


def test_an_unknown_baseline_is_answered_by_the_recipe_or_refused() -> None:
    unknown = [optical("stated", baseline=5.1)] + [optical(f"u{n}", 24 * n, baseline=None) for n in range(5)]
    with pytest.raises(InputError, match=r"5 of 6 optical items .*\(u0, u1, u2 …\).*set assume_baseline"):
        make_plan(spec(), unknown, RADAR)
    for assumed, offset in ((3.0, 0.0), (5.1, -1000.0)):
        plan = make_plan(spec(assume_baseline=assumed, pair={"per_cell": 9}), unknown, RADAR)
        scenes = {scene.id: scene for shard in plan.shards for scene in shard.scenes}
        assert scenes["u1"].baseline == assumed
        assert scenes["u1"].assets["B02"].offset == offset
        assert scenes["u1"].assets["SCL"].offset == 0
        assert scenes["stated"].baseline == 5.1, "what an item says is not overruled"
