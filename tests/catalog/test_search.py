"""The contract of searching on a careless server and on rustac; every way in which a server can fail."""

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from croma.catalog.dialects import EARTH_SEARCH, GENERIC
from croma.catalog.found import Found
from croma.catalog.search import Patience, search
from croma.errors import InputError, TransientError
from tests.catalog.builders import optical
from tests.catalog.contract import AREA, JUNE, CatalogContract, world
from tests.conftest import free_port
from tests.servers.pgstac import pgstac
from tests.servers.stac import CarelessServer, Handler, careless, rustac

QUICK = Patience(connect=1, read=0.4, tries=3, pause=0.01)


class TestCareless(CatalogContract):
    @pytest.fixture(scope="class")
    @classmethod
    def address(cls) -> Iterator[str]:
        with careless(world()) as server:
            yield server.address


class TestRustac(CatalogContract):
    @pytest.fixture(scope="class")
    @classmethod
    def address(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        with rustac(world(), tmp_path_factory.mktemp("rustac")) as address:
            yield address


@pytest.fixture(scope="module")
def pgstac_address() -> Iterator[str]:
    with pgstac(world()) as address:
        yield address


@pytest.mark.slow
class TestPgstac(CatalogContract):
    @pytest.fixture
    def address(self, pgstac_address: str) -> str:
        return pgstac_address


@pytest.mark.slow
def test_the_answer_is_the_same_on_all_servers(pgstac_address: str, tmp_path: Path) -> None:
    with careless(world()) as one, rustac(world(), tmp_path) as two:
        answers = [search(a, GENERIC, "sentinel-2-l2a", AREA, JUNE) for a in (one.address, two, pgstac_address)]
    assert answers[0] == answers[1] == answers[2]


def find(server: CarelessServer, patience: Patience = QUICK) -> Found:
    return search(server.address, GENERIC, "sentinel-2-l2a", AREA, JUNE, patience=patience)


@pytest.fixture(scope="module")
def expected() -> Found:
    with careless(world()) as server:
        return find(server)


# Servers that fail now and then


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(expected: Found, status: int) -> None:
    def fault(handler: Handler, number: int) -> bool:
        if number % 3 == 0:
            handler.reply({"code": "busy"}, status)
        return number % 3 == 0

    with careless(world(), fault=fault) as server:
        assert find(server) == expected


def test_the_pause_that_a_server_asks_for_is_kept(expected: Found) -> None:
    def fault(handler: Handler, number: int) -> bool:
        if number == 2:
            handler.reply({"code": "slow down"}, 429, Retry_After="1")
        return number == 2

    with careless(world(), fault=fault) as server:
        assert find(server) == expected
        assert server.times[2] - server.times[1] >= 1


def test_a_cut_page_is_fetched_again(expected: Found) -> None:
    def fault(handler: Handler, number: int) -> bool:
        if number in (1, 4):
            handler.cut(handler.server.answer(handler.server.searches[-1]))
        if number == 6:  # whole by its length, and yet no JSON
            body = b'{"features": ['
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
        return number in (1, 4, 6)

    with careless(world(), fault=fault) as server:
        assert find(server) == expected


def test_a_slow_page_is_asked_for_again(expected: Found) -> None:
    def fault(handler: Handler, number: int) -> bool:
        if number == 2:
            time.sleep(0.6)
        return False

    with careless(world(), fault=fault) as server:
        assert find(server) == expected


# Servers that fail on size


@pytest.mark.parametrize("status", [502, 504])
def test_a_search_too_large_for_the_server_is_split(expected: Found, status: int) -> None:
    def fault(handler: Handler, number: int) -> bool:
        start, end = (datetime.fromisoformat(t) for t in handler.server.searches[-1]["datetime"].split("/"))
        large = end - start > timedelta(days=9)
        if large:
            handler.reply({"message": "Task timed out"}, status)
        return large

    with careless(world(), fault=fault) as server:
        assert find(server) == expected
        assert len({body["datetime"] for body in server.searches}) > 4


def test_a_server_that_cuts_answers_to_the_page_is_found_out(expected: Found) -> None:
    """Some servers end after one page without a word: the search is split until the pages are not full."""

    class Truncating(CarelessServer):
        def answer(self, body: dict[str, Any]) -> dict[str, Any]:
            start, end = body["datetime"].split("/")
            found = [
                i for i in self.items if i["properties"]["datetime"] and start <= i["properties"]["datetime"] <= end
            ]
            return {"type": "FeatureCollection", "features": found[: body["limit"]], "links": []}

    class Stating(Truncating):
        def answer(self, body: dict[str, Any]) -> dict[str, Any]:
            start, end = body["datetime"].split("/")
            found = [
                i for i in self.items if i["properties"]["datetime"] and start <= i["properties"]["datetime"] <= end
            ]
            return {"type": "FeatureCollection", "features": found[:20], "links": [], "numberMatched": len(found)}

    import threading
    from dataclasses import replace

    items = [i for i in world() if i["collection"] == "sentinel-2-l2a" and "179" not in json.dumps(i["geometry"])]
    for kind, page in ((Truncating, 12), (Stating, 250)):
        server = kind(items)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        dialect = replace(GENERIC, page_size=page)
        assert search(server.address, dialect, "sentinel-2-l2a", AREA, JUNE, patience=QUICK) == expected
        assert len(server.searches) > 1
        server.shutdown()
        server.server_close()


def test_pages_in_a_circle_end() -> None:
    def fault(handler: Handler, number: int) -> bool:
        link = {"rel": "next", "method": "POST", "href": f"{handler.server.address}/search", "body": {}, "merge": True}
        handler.reply({"type": "FeatureCollection", "features": [optical("same")], "links": [link]})
        return True

    with careless(world(), fault=fault) as server, pytest.raises(TransientError, match="in circles"):
        find(server)


# Servers that fail for good


def test_a_server_that_stays_busy() -> None:
    def fault(handler: Handler, number: int) -> bool:
        handler.reply({"description": "rate limit"}, 429)
        return True

    with careless(world(), fault=fault) as server:
        with pytest.raises(TransientError, match=r"/search answers 429 to 3 tries: .*rate limit"):
            find(server)
        assert len(server.searches) == 3


def test_a_server_that_always_fails_is_given_up_soon() -> None:
    def fault(handler: Handler, number: int) -> bool:
        handler.reply({"message": "Internal server error"}, 502)
        return True

    with careless(world(), fault=fault) as server:
        with pytest.raises(TransientError, match=r"502.*cannot be made smaller"):
            find(server)
        assert len(server.searches) < 60


def test_a_refused_request_says_why() -> None:
    def fault(handler: Handler, number: int) -> bool:
        handler.reply({"description": "bbox is malformed"}, 400)
        return True

    with careless(world(), fault=fault) as server:
        with pytest.raises(InputError, match=r"127.0.0.1.*refuses.*\(400\).*bbox is malformed"):
            find(server)
        assert len(server.searches) == 1


def test_an_answer_without_features_is_no_empty_answer() -> None:
    def fault(handler: Handler, number: int) -> bool:
        handler.reply({"message": "maintenance"})
        return True

    message = r"without features.*maintenance"
    with careless(world(), fault=fault) as server, pytest.raises(TransientError, match=message):
        find(server)


# Wrong addresses


def test_an_address_where_nobody_listens() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=f"the catalog {address} cannot be reached. Is the address right"):
        search(address, GENERIC, "sentinel-2-l2a", AREA, JUNE, patience=QUICK)


def test_an_address_that_is_no_address() -> None:
    with pytest.raises(InputError, match="nonsense"):
        search("nonsense", GENERIC, "sentinel-2-l2a", AREA, JUNE, patience=QUICK)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (b"<html>hello</html>", "cannot be reached|not as a STAC API"),
        (b'{"hello": 1}', "not as a STAC API"),
        (
            b'{"type": "Catalog", "id": "x", "stac_version": "1.0.0", "description": "x", "links": []}',
            "without search",
        ),
    ],
)
def test_an_address_that_is_no_stac_api(page: bytes, message: str) -> None:
    class Other(Handler):
        def do_GET(self) -> None:  # noqa: N802
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

    with careless([]) as server:
        server.RequestHandlerClass = Other
        with pytest.raises(InputError, match=message):
            search(server.address, GENERIC, "sentinel-2-l2a", AREA, JUNE, patience=QUICK)


def test_a_sensor_that_the_catalog_lacks_is_said_before_any_request() -> None:
    with pytest.raises(InputError, match="no sentinel-1-rtc"):
        search("http://127.0.0.1:9", EARTH_SEARCH, "sentinel-1-rtc", AREA, JUNE)


def test_nothing_signed_is_kept(tmp_path: Path) -> None:
    entry = optical("signed")
    for asset in entry["assets"].values():
        asset["href"] += "?sv=1&se=2&sig=SECRET"
    with careless([entry]) as server:
        [scene] = find(server).scenes
    assert b"SECRET" not in scene.to_json()
