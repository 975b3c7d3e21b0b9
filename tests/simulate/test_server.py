import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from pystac_client import Client

from croma.errors import InputError
from croma.simulate.server import absolute, serve
from croma.simulate.world import World

pytestmark = pytest.mark.slow


def test_every_item_is_found_once_whatever_the_page_size(world: World, address: str) -> None:
    client = Client.open(address)
    for collection in ("sentinel-2-l2a", "sentinel-1-rtc", "esa-worldcover"):
        expected = sorted(item["id"] for item in world.items if item["collection"] == collection)
        for limit in (3, 100):
            search = client.search(collections=[collection], bbox=world.bbox, limit=limit)
            assert sorted(item["id"] for item in search.items_as_dicts()) == expected


def test_time_and_place_narrow_the_search(world: World, address: str) -> None:
    client = Client.open(address)
    search = client.search(collections=["sentinel-2-l2a"], datetime="2022-01-01/2022-12-31")
    found = [item["properties"]["datetime"][:4] for item in search.items_as_dicts()]
    assert found
    assert set(found) == {"2022"}
    assert not list(client.search(collections=["sentinel-2-l2a"], bbox=[0, 0, 1, 1]).items_as_dicts())
    assert {c.id for c in client.get_collections()} == {"sentinel-2-l2a", "sentinel-1-rtc", "esa-worldcover"}


def test_served_addresses_are_absolute(address: str) -> None:
    item = next(Client.open(address).search(collections=["sentinel-1-rtc"]).items_as_dicts())
    assert all(Path(asset["href"]).is_file() for asset in item["assets"].values())


def test_the_server_ends_with_its_context(world: World) -> None:
    with world.serve() as url, urllib.request.urlopen(url, timeout=5) as answer:
        assert json.load(answer)["type"] == "Catalog"
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=1)


def test_assets_can_be_served_from_elsewhere() -> None:
    hrefs = {"a": "./x/a.tif", "b": "https://b/b.tif", "c": "/c.tif"}
    links = [{"rel": "collection", "href": "./c.json"}, {"rel": "license", "href": "https://l"}]
    item: dict[str, Any] = {"assets": {key: {"href": href} for key, href in hrefs.items()}, "links": links}
    served = absolute({"features": [item]}, "http://127.0.0.1:9/data/")
    found = [asset["href"] for asset in served["features"][0]["assets"].values()]
    assert served["features"][0]["links"] == links[1:], "the server writes its own"
    assert found == ["http://127.0.0.1:9/data/x/a.tif", "https://b/b.tif", "/c.tif"]
    assert item["assets"]["a"]["href"] == "./x/a.tif", "the items themselves stay as they are"


def test_a_folder_without_items_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="build the world first"), serve(tmp_path):
        pass
