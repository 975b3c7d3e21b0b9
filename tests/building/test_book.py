"""A plan in storage is the plan: the same shards, by the same ids, whichever way they are made."""

from pathlib import Path

import pytest

from croma import storage
from croma.building import book as books
from croma.building.book import load, store
from croma.building.plan import Plan, make_plan
from croma.errors import InputError
from tests.building.test_plan import OPTICAL, RADAR, spec
from tests.scenes import label, square

TILES = [
    label("west", 2020, square(400_000, 5_300_000, 504_600, 5_500_000)),
    label("east", 2020, square(504_600, 5_300_000, 600_000, 5_500_000)),
    label("unused", 2020, square(0, 5_300_000, 9000, 5_500_000)),
]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(spec(labels={}), OPTICAL, RADAR, TILES)


def test_ids_are_the_same_with_and_without_objects(plan: Plan) -> None:
    assert [plan.book.id(number) for number in range(len(plan.shards))] == [shard.id for shard in plan.shards]
    assert len({shard.id for shard in plan.shards}) == len(plan.shards)


def test_ids_depend_on_everything(plan: Plan) -> None:
    shard = plan.shards[0]
    pair = shard.pairs[0]
    changed = [
        shard.model_copy(update={"split": "val" if shard.split != "val" else "test"}),
        shard.model_copy(update={"chip_size": 144}),
        shard.model_copy(update={"quality": shard.quality.model_copy(update={"max_cloud": 0.5})}),
        shard.model_copy(update={"labels": None}),
        shard.model_copy(update={"pairs": shard.pairs[::-1]}),
        shard.model_copy(update={"pairs": (pair.model_copy(update={"gap_hours": 1.0}), *shard.pairs[1:])}),
        shard.model_copy(update={"pairs": (pair.model_copy(update={"labels": ()}), *shard.pairs[1:])}),
        shard.model_copy(update={"scenes": (shard.scenes[0].model_copy(update={"mode": "x"}), *shard.scenes[1:])}),
    ]
    ids = {type(shard).model_validate(other.model_dump()).id for other in changed}
    assert len(ids | {shard.id}) == len(changed) + 1


def test_a_plan_comes_back_from_storage(plan: Plan, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "SHARDS_A_FILE", 4)
    address, ids = store(plan.book, f"{root}/plans")
    found, numbers = load(address)
    assert tuple(numbers) == ids
    assert list(found.shards) == list(plan.shards)
    assert [found.id(number) for number in range(len(ids))] == list(ids)
    assert len(storage.list_names(f"{address}/pairs")) == -(-len(ids) // 4)
    assert len(found.scenes) == len(OPTICAL) - 2 + 4 + 2, "the scenes that are used, and no others"


def test_a_plan_is_stored_once_and_marked_as_wanted(plan: Plan, tmp_path: Path) -> None:
    """Its last file alone is written again, so that a vacuum sees that somebody wants the plan."""
    address, ids = store(plan.book, str(tmp_path))
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()}
    again = make_plan(spec(labels={}), OPTICAL[::-1], RADAR[::-1], TILES[::-1])
    assert store(again.book, str(tmp_path)) == (address, ids)
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()}
    assert {path for path in before if before[path] != after.get(path)} == {Path(address, "plan.json")}
    assert {path: data for path, (_, data) in after.items()} == {path: data for path, (_, data) in before.items()}


def test_half_a_plan_is_made_whole(plan: Plan, tmp_path: Path) -> None:
    address, ids = store(plan.book, str(tmp_path))
    Path(address, "plan.json").unlink()
    Path(address, "scenes.parquet").write_bytes(b"half")
    with pytest.raises(InputError, match="there is no plan at"):
        load(address)
    assert store(plan.book, str(tmp_path)) == (address, ids)
    assert load(address)[0].shard(0) == plan.shards[0]


def test_nothing_signed_is_stored(tmp_path: Path) -> None:
    plan = make_plan(spec(), OPTICAL[:1], RADAR[:1])
    store(plan.book, str(tmp_path))
    assert not any(b"sig=" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
