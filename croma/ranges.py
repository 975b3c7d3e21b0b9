"""Parts of stored files: a range at once, in pieces as they arrive, or put where it belongs.

Ranges go to obstore, which takes a quarter of the processor time of s3fs and lets other threads run meanwhile; over
plain HTTP long ones go through `croma.wire` as long as all is well.
"""

import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from typing import Any

import obstore
from obstore import exceptions
from obstore.store import S3Store

from croma import wire
from croma.buffers import Buffers, put
from croma.errors import TransientError
from croma.storage import delta_options, denied, local_path, place, translated

_CLIENT: Any = {"connect_timeout": timedelta(seconds=10), "timeout": timedelta(seconds=60), "allow_http": True}
_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_SIGNED_FOR = timedelta(minutes=10)
_SIGNED_ANEW = 300.0
"""Seconds."""
_RETRY: Any = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}


def read_range(address: str, offset: int, length: int) -> memoryview:
    """`length` bytes from `offset`; fewer at the end of the file.

    Raises:
        FileNotFoundError: nothing is there.
    """
    local = local_path(address)
    if local is not None:
        with local.open("rb", buffering=0) as file:
            return memoryview(os.pread(file.fileno(), length, offset))
    bucket, key = place(address)
    store = _bucket(bucket, tuple(delta_options(address).items()))
    with _translated(address):
        return memoryview(obstore.get_range(store, key, start=offset, length=length))


def read_pieces(address: str, offset: int, length: int) -> Generator[memoryview, None, None]:
    """`length` bytes from `offset`, fewer at the end of the file, in pieces as they arrive.

    A piece holds until the next is asked for.

    Raises:
        FileNotFoundError: nothing is there.
    """
    end = offset + length
    with _translated(address):
        if url := _plain_url(address):
            with suppress(OSError):  # obstore tries again, and says what is wrong
                for piece in wire.get_range(url, offset, length):
                    offset += len(piece)
                    yield piece
                return
        yield from _chunks(address, offset, end - offset)


def read_into(address: str, offset: int, buffers: Buffers) -> int:
    """Fill `buffers`, one after the other, with the bytes from `offset` on; returns how many, fewer at the file's end.

    Raises:
        FileNotFoundError: nothing is there.
    """
    with _translated(address):
        if url := _plain_url(address):
            with suppress(OSError):
                return wire.get_range_into(url, offset, buffers)
        position = 0
        for chunk in _chunks(address, offset, sum(map(len, buffers))):
            put(chunk, buffers, position)
            position += len(chunk)
    return position


def _chunks(address: str, offset: int, length: int) -> Iterator[memoryview]:
    """A range as obstore streams it; of a local file in one piece."""
    if local_path(address) is not None:
        yield read_range(address, offset, length)
        return
    bucket, key = place(address)
    store = _bucket(bucket, tuple(delta_options(address).items()))
    for chunk in obstore.get(store, key, options={"range": (offset, offset + length)}).stream(wire.PIECE):
        yield memoryview(chunk)


def _plain_url(address: str) -> str | None:
    """The signed address of a file that is reached over HTTP without TLS and without a proxy; None for any other."""
    options = delta_options(address)
    if not options.get("AWS_ENDPOINT_URL", "").startswith("http://") or any(map(os.environ.get, _PROXIES)):
        return None
    return _signed(*place(address), tuple(options.items()), int(time.monotonic() / _SIGNED_ANEW))


@lru_cache(maxsize=1024)
def _signed(bucket: str, key: str, options: tuple[tuple[str, str], ...], now: int) -> str:  # noqa: ARG001
    """To sign takes as long as to receive a chip, so it is done anew only with another `now`."""
    return obstore.sign(_bucket(bucket, options), "GET", key, _SIGNED_FOR)


@lru_cache(maxsize=16)
def _bucket(name: str, options: tuple[tuple[str, str], ...]) -> S3Store:
    """A bucket whose connections are kept."""
    return S3Store(name, config=dict(options), client_options=_CLIENT, retry_config=_RETRY)  # type: ignore[arg-type]


@contextmanager
def _translated(address: str) -> Iterator[None]:
    """As `storage.translated`, and what obstore raises too."""
    try:
        with translated(address):
            yield
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise denied(address, error) from None
    except exceptions.BaseError as error:
        said = str(error).partition("\n\nDebug source")[0]
        raise TransientError(f"storage {address}: {said}") from error
