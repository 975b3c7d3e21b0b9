"""Searching a STAC API: the only file that imports pystac-client.

A server is asked for a collection, a time and a place, and never trusted: what it sends is filtered again here, so that
the answer is the same on every server. What is not sent is missed nowhere: a page that breaks is fetched again, and a
search that fails on its size, or whose pages do not add up, is split by time and then by area, and merged.
"""

import json
import logging
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pystac
from pystac_client import Client
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests import Response
from requests.exceptions import ChunkedEncodingError, ReadTimeout, Timeout
from requests.exceptions import ConnectionError as CannotConnect
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from croma.catalog.budget import Budget
from croma.catalog.dialects import Dialect
from croma.catalog.footprint import area_in_degrees
from croma.catalog.found import Found, from_items
from croma.catalog.machine import private_folder
from croma.catalog.query import Query, queries
from croma.errors import InputError, TransientError
from croma.extent import AreaOfInterest, TimeWindow

logger = logging.getLogger(__name__)

Item = dict[str, Any]
BUSY = (429, 500, 502, 503, 504)
TOO_LARGE = (413, 500, 502, 504)
"""What servers answer to a search that is too large; Earth Search's limit on the size of a page shows as 502."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long to wait for a server, and how often to ask again."""

    connect: float = 10.0
    """Seconds."""
    read: float = 60.0
    """Seconds without a byte."""
    tries: int = 5
    pause: float = 0.5
    """Seconds before the second try; doubles each time, with jitter. A pause that the server asks for comes on top."""
    longest: float = 60.0
    """Seconds: no pause of our own choice is longer."""
    longest_asked: float = 600.0
    """Seconds: no pause that a server asks for is kept longer."""

    def before(self, attempt: int) -> float:
        """Seconds to wait before the try after `attempt` (from 1)."""
        return min(self.pause * 2.0 ** (attempt - 1) * (1 + random.random()), self.longest)


PATIENT = Patience()
AGAIN = (CannotConnect, Timeout, ChunkedEncodingError)


class _TooLargeError(TransientError):
    """The server fails on the size of a search, or its pages do not add up."""


class _StrictIO(StacApiIO):
    """pystac-client's requests, with pages that break fetched again and errors said in our words."""

    def __init__(self, address: str, patience: Patience, budget: Budget) -> None:
        super().__init__(timeout=(patience.connect, patience.read), max_retries=None)
        self.address = address
        self.patience = patience
        self.budget = budget
        self.session.hooks["response"].append(self._heed)

    def request(self, href: str, method: str | None = None, *args: Any, **kwargs: Any) -> str:
        """As pystac-client's, but in the host's budget, and again when the server is busy or the answer broken.

        Raises:
            InputError: the server refuses the request (4xx).
            TransientError: it cannot be reached, or answers 429 or 5xx or nothing whole to every try.
        """
        host = urlsplit(href).netloc
        for attempt in range(1, self.patience.tries + 1):
            self.budget.wait(host)
            try:
                text = super().request(href, method, *args, **kwargs)
                json.loads(text)
            except APIError as error:
                if attempt >= self._tries(error):
                    raise self._translated(error, href) from None
            except json.JSONDecodeError as error:
                if attempt == self.patience.tries:
                    raise TransientError(f"{href} does not answer with JSON: {error}") from None
            else:
                return text
            time.sleep(self.patience.before(attempt))
        raise AssertionError("the last attempt returns or raises")

    def _tries(self, error: APIError) -> int:
        """How often a request that fails so is tried."""
        status = getattr(error, "status_code", None)
        if status is not None:
            return self.patience.tries if status in BUSY else 1
        # a search that times out is made smaller rather than asked often; what is no failure of the network stays one
        if isinstance(error.__context__, ReadTimeout):
            return min(2, self.patience.tries)
        return self.patience.tries if isinstance(error.__context__, AGAIN) else 1

    def _heed(self, response: Response, *_: Any, **__: Any) -> None:
        """Where a busy server asks for a pause, everybody on this machine keeps it."""
        asked = response.headers.get("Retry-After")
        if asked is None or response.status_code not in BUSY:
            return
        try:
            seconds = Retry().parse_retry_after(asked)
        except InvalidHeader:
            return
        self.budget.pause(urlsplit(response.url).netloc, min(seconds, self.patience.longest_asked))

    def _translated(self, error: APIError, href: str) -> Exception:
        cause, status = error.__context__, getattr(error, "status_code", None)
        reason = " ".join(str(error).split())[:300]
        if status is None:
            kind = _TooLargeError if isinstance(cause, Timeout) else TransientError
            return kind(f"no answer from {href}: {reason}")
        if status in TOO_LARGE:
            return _TooLargeError(f"{href} answers {status}: {reason}")
        if status in BUSY:
            return TransientError(f"{href} answers {status} to {self.patience.tries} tries: {reason}")
        return InputError(f"the catalog {self.address} refuses a request to {href} ({status}): {reason}")

    def get_pages(
        self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Pages to the end: an empty page with a next link is not the end, and a page seen before is no progress.

        Raises:
            _TooLargeError: the pages do not add up to the search: cut without a next link, or going round in circles.
        """
        limit = int((parameters or {}).get("limit", 0))
        seen: set[str] = set()
        barren = 0
        page = self.read_json(url, method=method, parameters=parameters)
        while True:
            entries = page.get("features", page.get("collections"))
            if not isinstance(entries, list):
                raise TransientError(f"{url} answers without features: {str(page)[:200]}")
            fresh = {str(entry.get("id")) for entry in entries} - seen
            seen |= fresh
            yield page
            following = next((link for link in page.get("links", []) if link.get("rel") == "next"), None)
            if following is None:
                break
            barren = 0 if fresh else barren + 1
            if barren == 3:
                raise _TooLargeError(f"{url} pages in circles: three pages brought nothing new")
            page = self.read_json(pystac.Link.from_dict(following), parameters=parameters)
        matched = page.get("numberMatched", (page.get("context") or {}).get("matched"))
        if len(entries) >= limit > 0 or (matched is not None and len(seen) < matched):
            raise _TooLargeError(f"{url} ends after {len(seen)} items without saying that these are all")


def search(
    address: str,
    dialect: Dialect,
    collection: str,
    area: AreaOfInterest,
    window: TimeWindow | None,
    *,
    label_asset: str | None = None,
    patience: Patience = PATIENT,
) -> Found:
    """Every scene of a collection whose footprint meets `area` and whose time lies in `window`.

    Args:
        address: of the STAC API.
        dialect: the catalog's words.
        collection: a sensor's name, or the id of a label layer's collection.
        area: where.
        window: when; None for any time.
        label_asset: key of the asset that holds the labels; None for sensors.
        patience: time-outs and retries.

    Raises:
        InputError: the address cannot be reached, is no STAC API, lacks the collection or refuses the request.
        TransientError: the server fails, every time it is asked.
    """
    name = dialect.collection(collection)
    client = _open(address, patience, Budget(dialect.requests_per_second, private_folder()))
    place = area_in_degrees(area)
    items: dict[str, Item] = {}
    for query in queries(name, place, window, dialect.page_size):
        for item in _collect(client, query):
            items.setdefault(str(item.get("id")), item)
    found = from_items(items.values(), dialect, collection, place, window, label_asset)
    if not found.scenes and not found.refused:
        _check_collection(client, address, name)
    return found


def _open(address: str, patience: Patience, budget: Budget) -> Client:
    try:
        client = Client.open(address, stac_io=_StrictIO(address, patience, budget))
    except TransientError as error:
        raise InputError(
            f"the catalog {address} cannot be reached. Is the address right, and the server up? ({error})"
        ) from None
    except (pystac.STACError, ClientTypeError, KeyError, TypeError, ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{address} answers, but not as a STAC API: {error}") from None
    if not client.get_links("search"):
        raise InputError(f"{address} is a STAC catalog without search: give the address of a STAC API")
    return client


def _check_collection(client: Client, address: str, name: str) -> None:
    known = [collection.id for collection in client.get_collections()]
    if known and name not in known:
        raise InputError(f"the catalog {address} has no collection {name!r}; it has {', '.join(sorted(known))}")


def _collect(client: Client, query: Query) -> Iterator[Item]:
    """Items of a query, split where the server fails on its size. Some may come twice."""
    posts = any(link.extra_fields.get("method") == "POST" for link in client.get_links("search"))
    try:
        pages = list(client.search(method="POST" if posts else "GET", **query.parameters()).pages_as_dicts())
    except _TooLargeError as error:
        halves = query.halves()
        if not halves:
            raise TransientError(f"{error}; and the search cannot be made smaller") from None
        logger.info("%s: searching in two halves", error)
        for half in halves:
            yield from _collect(client, half)
    else:
        for page in pages:
            yield from page["features"]
