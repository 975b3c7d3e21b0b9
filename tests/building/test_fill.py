import hashlib
import tarfile
from pathlib import Path

import numpy as np
import pytest

from croma import storage
from croma.building import fill as filling
from croma.building.fill import fill
from croma.building.shard_plan import ShardPlan
from croma.errors import TransientError, UnusableError
from croma.raster.read import Unsigned
from croma.shards.card import ShardCard
from croma.shards.dataset import card_address, read_card, shard_address
from croma.shards.layout import ChipLayout, decode
from tests.building.plans import make_labels, make_plan, make_scenes, refused
from tests.raster.scenes import damage


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> ShardPlan:
    return make_plan(make_scenes(tmp_path_factory.mktemp("scenes")))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> ShardPlan:
    folder = tmp_path_factory.mktemp("labelled")
    return make_plan(make_scenes(folder, 1), labels=make_labels(folder))


def tar(plan: ShardPlan, root: str) -> bytes:
    return storage.read(shard_address(root, plan.split, plan.id))


def test_a_shard_holds_the_chips_of_its_plan_in_its_order(plan: ShardPlan, tmp_path: Path) -> None:
    card = fill(plan, str(tmp_path))
    left_out = {row.chip for row in card.rejections}
    assert [row.chip for row in card.rows] == [pair.chip for pair in plan.pairs if pair.chip not in left_out]
    assert card.samples == len(card.rows) == 10
    assert {row.reason for row in card.rejections} == {"cloud"}
    with tarfile.open(shard_address(str(tmp_path), "train", plan.id)) as file:
        keys = [name.partition(".")[0] for name in file.getnames()]
    assert list(dict.fromkeys(keys)) == [row.chip for row in card.rows]


def test_rows_lead_to_the_pixels(plan: ShardPlan, tmp_path: Path) -> None:
    card, layout = fill(plan, str(tmp_path)), ChipLayout(size=24, label=False)
    data = tar(plan, str(tmp_path))
    last = card.rows[-1]
    planes = decode(data[last.offset : last.offset + last.length], layout)
    assert not np.isnan(planes["s1"]).any()
    assert planes["s2_10m"].min() > 0
    assert (last.radar_scene, last.optical_scene) == (plan.pairs[-2].radar, plan.pairs[-2].optical)


@pytest.mark.parametrize("threads", [1, 3, 12])
def test_the_same_plan_gives_the_same_bytes(plan: ShardPlan, tmp_path: Path, threads: int) -> None:
    first = fill(plan, str(tmp_path / "a"))
    second = fill(plan, str(tmp_path / "b"), threads=threads)
    assert first == second
    assert tar(plan, str(tmp_path / "a")) == tar(plan, str(tmp_path / "b"))


def test_small_batches_give_the_same_bytes(plan: ShardPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fill(plan, str(tmp_path / "a"))
    monkeypatch.setattr(filling, "BATCH", 1)
    assert fill(plan, str(tmp_path / "b")) == whole


def test_a_finished_shard_is_left_alone(plan: ShardPlan, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    card = fill(plan, root)
    monkeypatch.setattr(filling, "_fill", lambda *_: pytest.fail("filled again"))
    assert fill(plan, root) == card
    assert fill(plan, root, verify=True) == card


def test_a_lost_or_short_shard_is_filled_again(plan: ShardPlan, root: str) -> None:
    card, address = fill(plan, root), shard_address(root, plan.split, plan.id)
    storage.remove(address)
    assert fill(plan, root) == card
    storage.write(address, storage.read(address)[:-1])
    assert fill(plan, root) == card
    assert storage.size(address) == card.bytes


def test_a_flipped_byte_is_found_when_asked_for(plan: ShardPlan, tmp_path: Path) -> None:
    card, address = fill(plan, str(tmp_path)), shard_address(str(tmp_path), plan.split, plan.id)
    data = bytearray(storage.read(address))
    data[2000] ^= 1
    storage.write(address, bytes(data))
    fill(plan, str(tmp_path))
    assert storage.read(address) == data
    assert fill(plan, str(tmp_path), verify=True) == card
    assert storage.read(address) != data


def test_the_card_is_written_last(plan: ShardPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        fill(plan, str(tmp_path))
    assert storage.exists(shard_address(str(tmp_path), plan.split, plan.id))
    assert not storage.exists(card_address(str(tmp_path), plan.id))


def test_a_shard_of_refusals_is_a_card_alone(plan: ShardPlan, tmp_path: Path) -> None:
    cloudy = refused(plan)
    card = fill(cloudy, str(tmp_path))
    assert card.samples == card.bytes == 0
    assert len(card.rejections) == len(cloudy.pairs) == 2
    assert not storage.exists(shard_address(str(tmp_path), "train", cloudy.id))
    assert fill(cloudy, str(tmp_path)) == card


def test_statistics_are_of_clear_valid_pixels(plan: ShardPlan, tmp_path: Path) -> None:
    card, layout = fill(plan, str(tmp_path)), ChipLayout(size=24, label=False)
    data = tar(plan, str(tmp_path))
    clear = [row for row in card.rows if row.cloud == 0]
    cloudy = [row for row in card.rows if row.cloud]
    assert clear
    assert not cloudy
    radar = np.concatenate([decode(data[row.offset :], layout)["s1"][0].ravel() for row in clear]).astype(np.float64)
    assert card.statistics["radar"].count[0] == radar.size
    assert card.statistics["radar"].mean[0] == pytest.approx(radar.mean())
    green = np.concatenate([decode(data[row.offset :], layout)["s2_10m"][1].ravel() for row in clear])
    assert card.statistics["optical"].total[2] == green.sum()
    assert card.statistics["optical"].maximum[2] == green.max()


def test_labels_are_cut_beside_the_chips(labelled: ShardPlan, tmp_path: Path) -> None:
    card, layout = fill(labelled, str(tmp_path)), ChipLayout(size=24, label=True)
    data = tar(labelled, str(tmp_path))
    assert card.label
    seen = set()
    for row in card.rows:
        plane = decode(data[row.offset :], layout)["label"]
        codes, counts = np.unique(plane, return_counts=True)
        assert plane.all()
        assert row.label == codes[counts.argmax()]
        assert row.label_shares == {
            int(c): pytest.approx(n / 576, abs=1e-6) for c, n in zip(codes, counts, strict=True)
        }
        seen |= set(codes.tolist())
    assert seen == {10, 30, 40}


def test_a_broken_label_refuses_the_chips_that_need_it(tmp_path: Path) -> None:
    scenes, tiles = make_scenes(tmp_path / "scenes", 1), make_labels(tmp_path / "scenes")
    damage(Path(tiles[1].assets["label"].href), 0, 0)
    card = fill(make_plan(scenes, labels=tiles), str(tmp_path / "root"))
    assert {row.reason for row in card.rejections} == {"unreadable"}
    assert all(row.detail.startswith("tile-E label: block") for row in card.rejections)
    assert {row.label for row in card.rows} == {10}


def test_what_could_not_be_read_is_tried_again(tmp_path: Path) -> None:
    scenes = make_scenes(tmp_path / "scenes", 1)
    plan, band = make_plan(scenes), Path(scenes[0][1].assets["B04"].href)
    band.rename(tmp_path / "elsewhere.tif")
    card = fill(plan, str(tmp_path / "root"))
    assert (card.samples, {row.reason for row in card.rejections}) == (0, {"unreadable"})
    assert card.rejections[0].detail.startswith("S2-0 B04: ")
    (tmp_path / "elsewhere.tif").rename(band)
    assert fill(plan, str(tmp_path / "root")).samples == len(plan.pairs)


def test_an_outage_leaves_nothing(plan: ShardPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Unsigned):
        def sign(self, href: str) -> str:
            if "B11" in href:
                raise TransientError("the server answers HTTP 503")
            return href

    with pytest.raises(TransientError, match="S2-0 B11: the server answers HTTP 503"):
        fill(plan, str(tmp_path), Silent())
    assert not list(tmp_path.iterdir())


def test_the_card_survives_storage(plan: ShardPlan, root: str) -> None:
    card = fill(plan, root)
    assert read_card(root, plan.id) == card
    assert isinstance(card, ShardCard)


def test_of_two_fills_at_once_the_one_that_cannot_read_a_file_spoils_nothing(tmp_path: Path) -> None:
    """The other one fills the same plan wholly while this one is refused a file."""
    scenes, root = make_scenes(tmp_path / "scenes", 2), str(tmp_path / "root")
    plan = make_plan(scenes)
    whole: list[ShardCard] = []

    class Refused(Unsigned):
        def sign(self, href: str) -> str:
            if "S2-0" in href and "B11" in href:
                whole.append(fill(plan, root))
                raise UnusableError("access refused (HTTP 403)")
            return href

    part = fill(plan, root, Refused())
    assert 0 < part.samples < whole[0].samples
    for card in (part, whole[0]):
        data = storage.read(shard_address(root, card.split, card.id))
        assert hashlib.sha256(data).hexdigest() == card.sha256
        assert read_card(root, card.id) == card
        assert {row.shard for row in card.rows} == {card.id}
    assert fill(plan, root) == whole[0]
