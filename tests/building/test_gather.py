"""From a served catalog to a plan, and the wrong inputs on the way."""

import pytest

from croma.building.gather import gather
from croma.building.plan import make_plan
from croma.building.spec import BuildSpec
from croma.catalog.dialects import EARTH_SEARCH, GENERIC
from croma.catalog.search import Patience
from croma.errors import InputError
from tests.catalog.builders import item, optical, polygon, radar
from tests.conftest import free_port
from tests.servers.stac import careless

SPEC = BuildSpec.model_validate(
    {
        "name": "test",
        "area": {"bbox": (13.2, 48.2, 13.5, 48.5)},
        "window": {"start": "2021-06-10", "end": "2021-06-20"},
        "chip_size": 120,
        "labels": {},
    }
)
COVER = item(
    "cover",
    "esa-worldcover",
    None,
    polygon(12, 48, 15, 51),
    {"map": {"href": "https://example.org/map.tif"}},
    start_datetime="2021-01-01T00:00:00Z",
    end_datetime="2021-12-31T23:59:59Z",
)


def test_radar_is_searched_beyond_the_window_and_labels_at_any_time() -> None:
    broken = radar("broken", "2021-06-12T05:00:00Z")
    del broken["assets"]["vh"]
    items = [
        optical("o", "2021-06-10T00:30:00Z"),
        optical("early", "2021-06-09T23:30:00Z"),
        radar("before", "2021-06-07T05:00:00Z"),
        radar("after", "2021-06-23T05:00:00Z"),
        radar("long-before", "2021-06-06T05:00:00Z"),
        broken,
        COVER,
    ]
    with careless(items) as server:
        found = gather(SPEC, server.address, GENERIC)
    assert [scene.id for scene in found.optical] == ["o"]
    assert [scene.id for scene in found.radar] == ["before", "after"]
    assert [scene.id for scene in found.labels] == ["cover"]
    assert [refusal.scene for refusal in found.refused] == ["broken"]
    plan = make_plan(SPEC, found.optical, found.radar, found.labels)
    assert sum(plan.chips.values()) > 100
    assert {pair.labels for shard in plan.shards for pair in shard.pairs} == {("cover",)}


def test_an_empty_search_says_what_where_and_when() -> None:
    with careless([optical("o", "2020-06-10T00:30:00Z"), radar("r"), COVER]) as server:
        found = gather(SPEC, server.address, GENERIC)
    with pytest.raises(InputError, match=r"no sentinel-2-l2a scene in the box .*from 2021-06-10 to 2021-06-20"):
        make_plan(SPEC, found.optical, found.radar, found.labels)


def test_wrong_catalogs() -> None:
    with pytest.raises(InputError, match="cannot be reached"):
        gather(SPEC, f"http://127.0.0.1:{free_port()}", GENERIC, Patience(pause=0.01))
    with careless([optical("o"), COVER]) as server:
        with pytest.raises(InputError, match="no collection 'sentinel-1-rtc'; it has esa-worldcover, sentinel-2-l2a"):
            gather(SPEC, server.address, GENERIC)
        with pytest.raises(InputError, match="no sentinel-1-rtc"):
            gather(SPEC, server.address, EARTH_SEARCH)
