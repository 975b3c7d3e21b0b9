"""Where the bytes of a file come from: a path, or ranges over HTTP, Azure or S3.

Ranges that lie close together are fetched as one request and several requests at once; connections are kept and shared
by all files of a host. A failure says whether the file is to blame or the server.
"""

import os
import re
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore import exceptions
from obstore.store import AzureStore, HTTPStore, S3Store

from croma.errors import CromaError, TransientError, UnusableError
from croma.raster.faults import RefusedError, from_status, redact

GAP = 128 << 10
"""Bytes. Ranges nearer than this are fetched as one: reading on costs less than asking again."""

TRIES = 4
"""How often a transfer is begun that breaks off. Requests that get no good answer are repeated by obstore."""

PAUSE = 0.2
"""Seconds before a transfer is begun again; doubles each time."""

_CLIENT: Any = {
    "allow_http": True,
    "connect_timeout": timedelta(seconds=10),
    "timeout": timedelta(seconds=60),
    "user_agent": "croma-pipeline",
}
_RETRY: Any = {
    "max_retries": 5,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=10), "base": 2},
}

_PLAIN = re.compile(r"[A-Za-z0-9/._~-]*")
"""Paths that every client writes alike; others are handed over as they are."""

_AZURE = ".blob.core.windows.net"

Buffer = bytes | memoryview


class Source(Protocol):
    """An open file."""

    def ranges(self, starts: Sequence[int], lengths: Sequence[int]) -> list[Buffer]:
        """The bytes of each range; fewer where the file ends.

        Raises:
            RefusedError: the server wants another signature.
            UnusableError: the file is not there, or ends before a range begins.
            TransientError: the server does not answer.
        """
        ...

    def close(self) -> None:
        """Give back what the operating system lent."""
        ...


class LocalSource:
    """A file on this machine."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            UnusableError: it cannot be opened.
        """
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise UnusableError(f"cannot be opened ({error.strerror})") from None

    def ranges(self, starts: Sequence[int], lengths: Sequence[int]) -> list[Buffer]:
        """See `Source`."""
        number = self._file.fileno()
        return [os.pread(number, length, start) for start, length in zip(starts, lengths, strict=True)]

    def close(self) -> None:
        """See `Source`."""
        self._file.close()


class RemoteSource:
    """A file on a server that answers range requests."""

    def __init__(self, href: str) -> None:
        """Nothing is asked yet."""
        self._store, self._path = _place(href)

    def ranges(self, starts: Sequence[int], lengths: Sequence[int]) -> list[Buffer]:
        """See `Source`."""
        for attempt in range(TRIES):
            try:
                found = obstore.get_ranges(self._store, self._path, starts=starts, lengths=lengths, coalesce=GAP)
            except (exceptions.BaseError, FileNotFoundError) as error:
                if "error sending request" in str(error) or "body error" not in str(error):
                    raise _meaning(error) from None
                time.sleep(PAUSE * 2**attempt)
            else:
                return [memoryview(part) for part in found]
        raise UnusableError(f"the server answers but every one of {TRIES} transfers broke off")

    def close(self) -> None:
        """Connections are kept for the next file."""


def open_source(href: str) -> Source:
    """The bytes of a file at a path, file://, http(s):// or s3:// address.

    Raises:
        UnusableError: it is a path, and cannot be opened.
    """
    scheme, _, rest = href.partition("://")
    if not rest:
        return LocalSource(Path(href))
    return LocalSource(Path(unquote(rest))) if scheme == "file" else RemoteSource(href)


def _place(href: str) -> tuple[Any, str]:
    """A store and a path in it; stores are shared, so that connections are."""
    parts = urlsplit(href)
    host, path = parts.netloc, parts.path.lstrip("/")
    if parts.scheme == "s3":
        return _bucket(host), path
    if not _PLAIN.fullmatch(path):
        return HTTPStore(href, client_options=_CLIENT, retry_config=_RETRY), ""
    if host.endswith(_AZURE) and "/" in path:
        container, _, blob = path.partition("/")
        return _container(host.removesuffix(_AZURE), container, parts.query), blob
    if parts.query:
        return HTTPStore(href, client_options=_CLIENT, retry_config=_RETRY), ""
    return _host(f"{parts.scheme}://{host}"), path


@lru_cache(maxsize=64)
def _host(address: str) -> HTTPStore:
    return HTTPStore(address, client_options=_CLIENT, retry_config=_RETRY)


@lru_cache(maxsize=64)
def _container(account: str, name: str, signature: str) -> AzureStore:
    config: Any = {"sas_key": signature} if signature else {"skip_signature": True}
    return AzureStore(name, account_name=account, client_options=_CLIENT, retry_config=_RETRY, **config)


@lru_cache(maxsize=64)
def _bucket(name: str) -> S3Store:
    return S3Store(name, client_options=_CLIENT, retry_config=_RETRY)


def _meaning(error: Exception) -> CromaError:
    said = redact(str(error).split("\n\nDebug source")[0])
    if isinstance(error, FileNotFoundError):
        return UnusableError("not found (HTTP 404)")
    if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
        return RefusedError(
            f"access refused (HTTP {401 if isinstance(error, exceptions.UnauthenticatedError) else 403})"
        )
    if isinstance(error, exceptions.NotSupportedError):
        return UnusableError("the server does not answer range requests")
    if status := re.search(r"status code: (\d{3})", said):
        return from_status(int(status[1]))
    return TransientError(said)
