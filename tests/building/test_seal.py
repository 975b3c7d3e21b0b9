from pathlib import Path

import pytest

from croma import storage
from croma.building.fill import fill
from croma.building.seal import seal
from croma.building.shard_plan import ShardPlan
from croma.errors import ContractError, InputError
from croma.shards import index, ledger
from croma.shards.dataset import shard_address
from croma.shards.ref import DatasetRef
from tests.building.plans import make_plan, make_scenes, refused


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> list[ShardPlan]:
    scenes = make_scenes(tmp_path_factory.mktemp("scenes"))
    return [make_plan(scenes, [(column, 0)]) for column in (0, 6, 12)]


def test_a_version_holds_all_chips_at_once(plans: list[ShardPlan], root: str) -> None:
    cards = [fill(plan, root) for plan in plans]
    ref = seal(root, cards, {"recipe": "test"})
    assert ref == DatasetRef(uri=root, version=1)
    assert index.known_chips(root) == {row.chip for card in cards for row in card.rows}
    assert index.versions(root)[-1].note == {"recipe": "test"}


def test_sealing_twice_changes_nothing(plans: list[ShardPlan], tmp_path: Path) -> None:
    cards = [fill(plan, str(tmp_path)) for plan in plans]
    first = seal(str(tmp_path), cards, {})
    assert seal(str(tmp_path), cards, {}) == first
    assert len(index.known_chips(str(tmp_path))) == sum(card.samples for card in cards)


def test_cards_are_looked_at_once(plans: list[ShardPlan], tmp_path: Path) -> None:
    root = str(tmp_path)
    cards = [fill(plan, root) for plan in (*plans[:2], refused(plans[2]))]
    seal(root, iter(cards), {}, "rule")
    assert index.known_chips(root) == {row.chip for card in cards for row in card.rows}
    assert ledger.counts(root) == {"cloud": 1}
    with pytest.raises(ContractError, match=f"is in two shards: {cards[0].id} and {cards[0].id}"):
        seal(root, iter([cards[0], cards[0]]), {})


def test_an_increment_is_another_version(plans: list[ShardPlan], tmp_path: Path) -> None:
    root = str(tmp_path)
    first = seal(root, [fill(plans[0], root)], {})
    second = seal(root, [fill(plan, root) for plan in plans], {})
    assert (first.version, second.version) == (1, 2)


@pytest.mark.parametrize("fault", ["missing", "short"])
def test_a_shard_that_is_not_whole_is_not_sealed(plans: list[ShardPlan], tmp_path: Path, fault: str) -> None:
    root = str(tmp_path)
    card, address = fill(plans[0], root), shard_address(root, "train", plans[0].id)
    data = storage.read(address)
    storage.remove(address)
    if fault == "short":
        storage.write(address, data[:-512])
    with pytest.raises(ContractError, match="its card says"):
        seal(root, [card], {})
    assert index.known_chips(root) == set()


def test_a_dataset_without_chips_says_what_they_were_refused_for(plans: list[ShardPlan], tmp_path: Path) -> None:
    root = str(tmp_path)
    cards = [fill(refused(plans[2]), root)]
    with pytest.raises(InputError, match=r"every one of 1 pairs was refused \(1 cloud\), for example .*S2-1: 1.0000"):
        seal(root, cards, {})
    assert index.known_chips(root) == set()


def test_nothing_planned_is_nothing_to_seal(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pair was planned"):
        seal(str(tmp_path), [], {})


def test_an_increment_of_refusals_keeps_the_version(plans: list[ShardPlan], tmp_path: Path) -> None:
    root = str(tmp_path)
    first = seal(root, [fill(plans[0], root)], {})
    assert seal(root, [fill(refused(plans[2]), root)], {}) == first
