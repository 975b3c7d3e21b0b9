"""A range of a file over plain HTTP, handed over in pieces while it arrives.

For stores that are reached without TLS, as those inside a cluster mostly are. One small buffer a thread takes all
pieces: the processor's cache still holds a piece when it is written to disk, and none is copied to be put together,
which comes to half the processor time of a client that collects an answer first. It tries once and knows one good
answer; whoever asks has another way for the rest.
"""

import threading
from collections.abc import Generator
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit

PIECE = 256 * 1024
"""Bytes of a piece, at most."""
TIMEOUT = 60.0
"""Seconds without a byte after which a server is given up."""


class _Thread(threading.local):
    """What a thread keeps: a connection to the server that it asked last, and the buffer."""

    def __init__(self) -> None:
        self.server = ""
        self.connection = HTTPConnection("localhost")
        self.buffer = memoryview(bytearray(PIECE))


_thread = _Thread()


def get_range(url: str, offset: int, length: int) -> Generator[memoryview, None, None]:
    """The bytes of `url`, an `http://` address, from `offset` on: `length` or, at the end of the file, fewer.

    A piece holds until the next is asked for. A thread reads one range at a time.

    Raises:
        OSError: no connection, an answer that is not the range, or one that breaks off.
    """
    parts = urlsplit(url)
    headers = {"Range": f"bytes={offset}-{offset + length - 1}", "Accept-Encoding": "identity"}
    buffer, connection, whole = _thread.buffer, _connection(parts.netloc), False
    try:
        answer = _ask(connection, f"{parts.path}?{parts.query}", headers)
        if answer.status != 206 or not answer.headers["Content-Range"].startswith(f"bytes {offset}-"):
            raise OSError(f"HTTP {answer.status} {answer.reason}")
        if answer.length is None or answer.length > length:
            raise OSError("an answer of another length")
        while got := answer.readinto(buffer):
            yield buffer[:got]
        if answer.length:
            raise OSError(f"the answer breaks off {answer.length} bytes before its end")
        whole = True
    except HTTPException as error:
        raise OSError(f"no HTTP answer ({type(error).__name__})") from error
    finally:
        if not whole:  # what is left of the answer must not be taken for the next
            connection.close()


def _connection(server: str) -> HTTPConnection:
    """The connection of this thread to `server`."""
    if _thread.server != server:
        _thread.connection.close()
        _thread.server, _thread.connection = server, HTTPConnection(server, timeout=TIMEOUT)
    return _thread.connection


def _ask(connection: HTTPConnection, target: str, headers: dict[str, str]) -> HTTPResponse:
    """Send a request; anew where the connection was open before, as servers close those that were idle for long."""
    kept = connection.sock is not None
    try:
        connection.request("GET", target, headers=headers)
        return connection.getresponse()
    except (ConnectionError, HTTPException):
        connection.close()
        if not kept:
            raise
    connection.request("GET", target, headers=headers)
    return connection.getresponse()
