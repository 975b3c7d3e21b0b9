"""What a vacuum takes and what it leaves: over random histories of a dataset, on any storage, beside a build."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croma import storage
from croma.building import book
from croma.building.fill import fill
from croma.building.seal import seal
from croma.building.shard_plan import ShardPlan
from croma.building.vacuum import find_waste, needed_shards, remove_waste
from croma.errors import ContractError, InputError
from croma.shards import index, ledger
from croma.shards.card import ChipRow, RejectionRow, ShardCard
from croma.shards.dataset import Header, card_address, open_dataset, shard_address, write_header
from croma.shards.reader import verify
from croma.shards.ref import DatasetRef
from tests.building.plans import make_plan, make_scenes, refused

pytestmark = pytest.mark.slow

NOW = timedelta(0)
HEADER = Header(format=1, name="test", chip_size=24, label=False, sources=("sentinel-1-rtc", "sentinel-2-l2a"))
OLD = 30 * 86_400


def age(uri: str, seconds: float = OLD, only: str = "") -> None:
    """Make every file below a local address old."""
    for path in Path(uri).rglob("*"):
        if path.is_file() and only in path.name:
            os.utime(path, (time.time() - seconds,) * 2)


def row(shard: str, chip: str) -> ChipRow:
    where = {"epsg": 32633, "left": 399960, "top": 5400000, "longitude": 13.0, "latitude": 48.7}
    content = {
        "chip": chip,
        "split": "train",
        "shard": shard,
        "offset": 0,
        "length": 5,
        "crc32": 0,
        "radar_scene": "r",
        "optical_scene": "o",
        "radar_time": "2021-06-23T05:10:00Z",
        "optical_time": "2021-06-23T10:10:00Z",
        "gap_hours": 1.0,
        "optical_nodata": 0.0,
        "radar_nodata": 0.0,
        "resampled": False,
        "reader": "window",
    }
    return ChipRow.model_validate(content | where)


def store(uri: str, shard: str, chips: list[str]) -> ShardCard:
    """A shard with these chips, and its card; a card alone where there are none."""
    rows = tuple(row(shard, chip) for chip in chips)
    card = ShardCard(
        id=shard,
        plan=shard,
        split="train",
        chip_size=24,
        label=False,
        samples=len(rows),
        bytes=7 * len(rows),
        sha256="",
        rows=rows,
        statistics={},
        rejections=() if rows else (RejectionRow(chip=f"{shard}-x", cell="c", reason="cloud", detail="d"),),
    )
    if rows:
        storage.write(shard_address(uri, "train", shard), bytes(card.bytes))
    storage.write(card_address(uri, shard), card.to_json())
    return card


def files(uri: str) -> set[str]:
    return {entry.address for entry in storage.walk(uri)}


def snapshot(uri: str) -> dict[int, pa.Table]:
    """The chips of every version."""
    return {v.number: open_dataset(DatasetRef(uri=uri, version=v.number)).rows for v in index.versions(uri)}


Life = st.lists(
    st.tuples(
        st.lists(st.integers(0, 9), max_size=3, unique=True),  # chips of a shard
        st.sampled_from(["sealed", "orphan", "young", "card only", "shard only"]),
    ),
    max_size=8,
)


@given(life=Life)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_version_stays_whole_and_all_else_that_is_old_goes(
    life: list[tuple[list[int], str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    uri = str(tmp_path_factory.mktemp("life"))
    write_header(uri, HEADER)
    young = []
    for number, (chips, fate) in enumerate(life):
        shard = f"{number:016x}"
        card = store(uri, shard, [f"chip-{chip}" for chip in chips])
        if fate == "sealed":
            # Chips that another shard has already stay with it: then this one may be needed by nobody.
            index.commit(uri, [card], {})
            ledger.record(uri, [card], "rule")
        elif fate == "card only":
            storage.remove(shard_address(uri, "train", shard))
        elif fate == "shard only":
            storage.remove(card_address(uri, shard))
        elif fate == "young":
            young.append(shard)
    index.commit(uri, [], {})
    age(uri)
    for shard in young:
        age(uri, 0, shard)

    needed, before, there = needed_shards(uri), snapshot(uri), files(uri)
    waste = find_waste(uri)
    assert files(uri) == there, "looking removes nothing"
    removed = {entry.address for one in remove_waste(uri, waste) for entry in one.entries}
    assert files(uri) == there - removed

    assert snapshot(uri) == before
    for rows in before.values():
        for split, shard in {(r["split"], r["shard"]) for r in rows.to_pylist()}:
            assert storage.exists(shard_address(uri, split, shard))
            assert storage.exists(card_address(uri, shard))
    left = {
        address.rpartition("/")[2].partition(".")[0] for address in files(uri) if address.endswith((".tar", ".json"))
    }
    assert left & {f"{number:016x}" for number in range(len(life))} == needed | set(young)
    assert find_waste(uri) == []


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> list[ShardPlan]:
    scenes = make_scenes(tmp_path_factory.mktemp("scenes"))
    return [make_plan(scenes, [(column, 0)]) for column in (0, 6, 12)]


def test_a_real_dataset_on_any_storage_keeps_what_it_needs(plans: list[ShardPlan], root: str) -> None:
    write_header(root, HEADER)
    kept = fill(plans[0], root)
    seal(root, [kept], {})
    orphan, empty = fill(plans[1], root), fill(refused(plans[2]), root)
    assert find_waste(root) == [], "too young to tell"
    waste = find_waste(root, NOW)
    assert {one.shard for one in waste} == {orphan.id, empty.id}
    assert len(remove_waste(root, waste, NOW)) == 2
    assert verify(open_dataset(DatasetRef(uri=root))) == []
    assert [storage.exists(card_address(root, card.id)) for card in (kept, orphan, empty)] == [True, False, False]
    assert not storage.exists(shard_address(root, "train", orphan.id))
    # What is gone is cut again, and gives the same.
    assert fill(plans[1], root) == orphan


def test_leftovers_of_storage_and_of_overtaken_commits_go(plans: list[ShardPlan], tmp_path: Path) -> None:
    root = str(tmp_path)
    write_header(root, HEADER)
    seal(root, [fill(plans[0], root)], {})
    leftovers = ["shards/train/.x.tar.0a1b2c3d.tmp", "index/part-0-overtaken.parquet", "versions/7/report.html"]
    strangers = ["README.md", "index/notes.txt", "versions/1/report.html", "elsewhere/x.tar"]
    for name in leftovers + strangers:
        storage.write(storage.join(root, name), b"x")
    age(root)
    found = {entry.address for one in find_waste(root) for entry in one.entries}
    assert found == {storage.join(root, name) for name in leftovers}
    remove_waste(root, find_waste(root))
    assert all(storage.exists(storage.join(root, name)) for name in strangers)
    assert verify(open_dataset(DatasetRef(uri=root))) == []


def planned(root: str, plans: list[ShardPlan]) -> str:
    """A plan in storage, as a build leaves it: its folder."""
    folder = storage.join(root, "plans", "0123456789abcdef")
    ids = [plan.id for plan in plans]
    book._write(pa.table({"id": ids, "split": ["train"] * len(ids)}), f"{folder}/shards.parquet")
    storage.write(f"{folder}/plan.json", b"{}")
    return folder


def test_a_build_that_takes_months_loses_nothing_while_it_goes_on(plans: list[ShardPlan], tmp_path: Path) -> None:
    root = str(tmp_path)
    write_header(root, HEADER)
    folder = planned(root, plans)
    fill(plans[0], root)
    age(root)
    fill(plans[1], root)  # today
    assert find_waste(root) == [], "the first shard is old, but its plan is worked on"
    age(root)
    assert {one.kind for one in find_waste(root)} == {"plan", "shard"}
    remove_waste(root, find_waste(root))
    assert not Path(folder).exists()
    assert files(root) == {f"{root}/dataset.json"}


def test_a_shard_without_a_file_lives_as_long_as_its_plan(tmp_path: Path) -> None:
    """Its id is not that of its plan, which must not make it anybody's."""
    root, scenes = str(tmp_path / "root"), make_scenes(tmp_path / "scenes")
    write_header(root, HEADER)
    plans = [make_plan(scenes, [(column, 0)]) for column in (0, 6)]
    planned(root, plans)
    Path(scenes[0][1].assets["B04"].href).unlink()
    part, later = (fill(plan, root) for plan in plans)
    assert part.id != part.plan == plans[0].id
    age(root)
    age(root, 0, later.id)
    assert find_waste(root) == [], "another part of the same build is of today"
    age(root)
    assert {one.kind for one in find_waste(root)} == {"plan", "shard"}
    assert {one.shard for one in find_waste(root)} == {None, part.id, later.id}


def test_what_a_build_takes_up_again_is_left_alone(plans: list[ShardPlan], tmp_path: Path) -> None:
    root = str(tmp_path)
    write_header(root, HEADER)
    card = fill(plans[0], root)
    age(root)
    waste = find_waste(root)
    assert [one.shard for one in waste] == [card.id]
    fill(plans[0], root)  # a build finds it and relies on it
    assert remove_waste(root, waste) == []
    age(root)
    seal(root, [card], {})
    age(root)
    assert remove_waste(root, waste) == [], "it is needed now"
    assert verify(open_dataset(DatasetRef(uri=root))) == []


def test_a_commit_in_the_very_moment_is_told(
    plans: list[ShardPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path)
    write_header(root, HEADER)
    card = fill(plans[0], root)
    age(root)
    waste, remove = find_waste(root), storage.remove

    def late(address: str) -> None:
        if not storage.exists(index.index_address(root)):
            index.commit(root, [card], {})
        remove(address)

    monkeypatch.setattr(storage, "remove", late)
    with pytest.raises(ContractError, match=f"shards {card.id} were committed while"):
        remove_waste(root, waste)


def test_there_must_be_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is none"):
        find_waste(str(tmp_path / "nothing"))
