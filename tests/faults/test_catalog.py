"""A build whose catalog fails now and then, or for a while."""

import time
from functools import partial
from pathlib import Path

import pytest

from croma.building import prepare
from croma.building.gather import gather
from croma.catalog.search import Patience
from croma.errors import TransientError
from croma.shards.dataset import Dataset
from tests.faults.speck import assert_clear, build, items, shards, spec
from tests.servers.stac import Handler, careless

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Patience(connect=1, read=0.3, tries=3, pause=0.01)
    monkeypatch.setattr(prepare, "gather", partial(gather, patience=patience))


def test_busy_slow_and_cut_pages_change_nothing(world: Path, calm: Dataset, tmp_path: Path) -> None:
    seen = set()

    def fault(handler: Handler, number: int) -> bool:
        kind = ("429", "502", "504", "slow", "cut")[number // 2 % 5]
        if number % 2:
            return False
        seen.add(kind)
        if kind == "slow":
            time.sleep(0.5)
            handler.close_connection = True
        elif kind == "cut":
            handler.cut(handler.server.answer(handler.server.searches[-1]))
        else:
            handler.reply({"code": "busy"}, int(kind), Retry_After="0")
        return True

    with careless(items(world, str(world)), page=3, fault=fault) as catalog:
        built = build(spec(), catalog.address, str(tmp_path))
    assert seen == {"429", "502", "504", "slow", "cut"}
    assert shards(built.ref.uri) == shards(calm.ref.uri)
    assert built.rows.equals(calm.rows)


@pytest.mark.parametrize("status", [429, 502])
def test_a_catalog_that_stays_away_stops_the_build_before_it_begins(
    world: Path, calm: Dataset, tmp_path: Path, status: int
) -> None:
    away = True

    def fault(handler: Handler, number: int) -> bool:
        if away and number > 3:
            handler.reply({"description": "maintenance"}, status)
        return away and number > 3

    with careless(items(world, str(world)), page=3, fault=fault) as catalog:
        with pytest.raises(TransientError, match=f"{status}.*maintenance") as stopped:
            build(spec(), catalog.address, str(tmp_path))
        assert_clear(stopped.value)
        assert not list(tmp_path.iterdir()), "what is not planned has left nothing"
        away = False
        built = build(spec(), catalog.address, str(tmp_path))
    assert shards(built.ref.uri) == shards(calm.ref.uri)
    assert built.ref.version == 1
