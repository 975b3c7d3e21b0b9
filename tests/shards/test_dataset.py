import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from croma import storage
from croma.chip import SPLITS, Chip, Split
from croma.errors import ContractError, InputError
from croma.sensors import Role
from croma.shards import index
from croma.shards.card import ChipRow, ShardCard, bin_edges, merge_statistics, percentiles
from croma.shards.dataset import (
    Header,
    card_address,
    check_shards_exist,
    open_dataset,
    shard_address,
    write_header,
)
from croma.shards.layout import ChipLayout
from croma.shards.moments import moments
from croma.shards.reader import read_chip, verify
from croma.shards.ref import DatasetRef
from croma.shards.writer import write_shard

MakeChip = Callable[..., Chip]
LAYOUT = ChipLayout(size=24, label=True)
HEADER = Header(format=1, name="test", chip_size=24, label=True, sources=("sentinel-1-rtc", "sentinel-2-l2a"))


def store(uri: str, folder: Path, shard: str, split: Split, chips: list[Chip]) -> ShardCard:
    """Write a shard and its card as a build does."""
    path = folder / f"{shard}.tar"
    written = write_shard(path, chips, LAYOUT)
    storage.upload(path, shard_address(uri, split, shard))
    rows = [
        ChipRow.parse(
            {
                **chip.facts,
                **place._asdict(),
                "split": split,
                "shard": shard,
                "epsg": chip.cell.epsg,
                "left": chip.cell.left,
                "top": chip.cell.top,
            },
            chip.id,
        )
        for chip, place in zip(chips, written.places, strict=True)
    ]
    card = ShardCard(
        id=shard,
        plan="0",
        split=split,
        chip_size=24,
        label=True,
        samples=len(chips),
        bytes=written.size,
        sha256=written.sha256,
        rows=tuple(rows),
        statistics={
            "radar": moments("radar", np.stack([c.radar for c in chips], 1)).statistics(),
            "optical": moments("optical", np.stack([c.optical[10] for c in chips], 1)).statistics(),
        },
        rejections=(),
    )
    storage.write(card_address(uri, shard), card.to_json())
    return card


@pytest.fixture
def built(root: str, tmp_path: Path) -> str:
    """A dataset of three shards at version 1."""
    uri = storage.join(root, "datasets", "test")
    write_header(uri, HEADER)
    cards = [
        store(uri, tmp_path, f"shard-{i}", split, [make(3 * i + n) for n in range(3)]) for i, split in enumerate(SPLITS)
    ]
    assert index.commit(uri, cards, {"recipe": "r"}) == 1
    return uri


def make(number: int) -> Chip:
    from tests.conftest import random_chip

    return random_chip(number, 24, True)


def test_what_was_written_is_read(built: str, make_chip: MakeChip) -> None:
    dataset = open_dataset(DatasetRef(uri=built))
    assert str(dataset.ref) == f"{built}@1"
    assert dataset.rows.num_rows == 9
    row = dataset.table("val").to_pylist()[1]
    planes = read_chip(built, row, dataset.layout)
    np.testing.assert_array_equal(planes["s1"], make_chip(4, 24, True).radar)
    assert dict(row["label_shares"]) == {10: 1.0}
    assert verify(dataset) == []


def test_commit_again_changes_nothing(built: str) -> None:
    dataset = open_dataset(DatasetRef(uri=built))
    assert index.commit(built, dataset.cards(), {}) == 1
    assert [v.added for v in index.versions(built)] == [0, 9]
    assert index.versions(built)[1].note == {"recipe": "r"}


def test_old_versions_stay(built: str, tmp_path: Path) -> None:
    card = store(built, tmp_path, "shard-9", "train", [make(100)])
    assert index.commit(built, [card], {}) == 2
    assert open_dataset(DatasetRef(uri=built, version=1)).rows.num_rows == 9
    assert open_dataset(DatasetRef(uri=built)).rows.num_rows == 10


def test_concurrent_commits_lose_and_double_nothing(built: str, tmp_path: Path) -> None:
    cards = [store(built, tmp_path, f"new-{i}", "train", [make(200 + i), make(201 + i)]) for i in range(1)]
    others = [store(built, tmp_path, f"other-{i}", "train", [make(300 + i)]) for i in range(4)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda c: index.commit(built, [c], {}), [*cards, *cards, *others]))
    chips = open_dataset(DatasetRef(uri=built)).rows["chip"].to_pylist()
    assert len(chips) == len(set(chips)) == 9 + 2 + 4


def test_statistics_merge_like_one_array(built: str) -> None:
    dataset = open_dataset(DatasetRef(uri=built))
    cards = dataset.cards()
    merged = merge_statistics(card.statistics for card in cards)["radar"]
    everything = np.stack([make(n).radar for n in range(9)], 1).astype(np.float64).reshape(2, -1)
    np.testing.assert_allclose(merged.mean, everything.mean(1), rtol=1e-12)
    np.testing.assert_allclose(merged.std, everything.std(1), rtol=1e-9)
    assert [sum(h) for h in merged.histogram] == list(merged.count)
    assert (
        dataset.statistics("train")
        == dataset.statistics("train")
        == merge_statistics(card.statistics for card in dataset.cards("train"))
    )


def test_percentiles_of_merged_cards_are_those_of_all_pixels_to_a_bin(built: str) -> None:
    shares = (0.01, 0.25, 0.5, 0.75, 0.99)
    chips = [make(n) for n in range(9)]
    everything: dict[Role, list[np.ndarray]] = {
        "radar": [chip.radar for chip in chips],
        "optical": [chip.optical[10] for chip in chips],
    }
    for role, pixels in everything.items():
        merged = merge_statistics(card.statistics for card in open_dataset(DatasetRef(uri=built)).cards())[role]
        flat = np.stack(pixels, 1).reshape(len(pixels[0]), -1).astype(float)
        expected = np.percentile(flat, np.multiply(shares, 100), 1)
        width = bin_edges(role)[1] - bin_edges(role)[0]
        np.testing.assert_allclose(percentiles(role, merged, shares), expected.T, atol=width)
        low, high = percentiles(role, merged, (0.0, 1.0))[0]
        assert (low, high) == (merged.minimum[0], merged.maximum[0])


def test_percentiles_of_nothing_are_zero() -> None:
    nothing = moments("radar", [np.zeros(0), np.zeros(0)]).statistics()
    assert percentiles("radar", nothing, (0.1, 0.9)) == ((0.0, 0.0), (0.0, 0.0))


def test_flipped_byte_is_found_and_named(root: str, built: str) -> None:
    dataset = open_dataset(DatasetRef(uri=built))
    row = dataset.table("test").to_pylist()[0]
    address = shard_address(built, "test", row["shard"])
    data = bytearray(storage.read(address))
    data[row["offset"] + LAYOUT.planes[0].offset + 5] ^= 1
    storage.write(address, bytes(data))
    faults = verify(dataset)
    assert len(faults) == 2
    assert row["chip"] in faults[1]
    with pytest.raises(ContractError, match="damaged"):
        read_chip(built, row, dataset.layout)


def test_missing_shard_is_named(built: str) -> None:
    dataset = open_dataset(DatasetRef(uri=built))
    storage.remove(shard_address(built, "val", "shard-1"))
    assert len(verify(dataset)) == 1
    with pytest.raises(ContractError, match=r"shard-1.tar: missing"):
        check_shards_exist(built, dataset.cards())


def test_no_dataset_and_no_version_are_said(root: str, built: str) -> None:
    with pytest.raises(InputError, match="there is none"):
        open_dataset(DatasetRef(uri=storage.join(root, "nothing")))
    with pytest.raises(InputError, match="no version 7; versions 0 to 1 exist"):
        open_dataset(DatasetRef(uri=built, version=7))


def test_another_chip_size_is_refused(built: str) -> None:
    write_header(built, HEADER)
    with pytest.raises(InputError, match="chip_size is 24, not 48"):
        write_header(built, HEADER.model_copy(update={"chip_size": 48}))


def test_references_print_and_parse() -> None:
    for text in ("s3://b/d@3", "data/d", "a@b/d@0"):
        assert str(DatasetRef.of(text)) == text
    with pytest.raises(InputError, match="version number"):
        DatasetRef.of("d@latest")


def test_sha256_is_of_the_file(root: str, built: str) -> None:
    for card in open_dataset(DatasetRef(uri=built)).cards():
        data = storage.read(shard_address(built, card.split, card.id))
        assert hashlib.sha256(data).hexdigest() == card.sha256
