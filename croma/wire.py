"""A range of a file over plain HTTP, handed over in pieces while it arrives, or put where it belongs.

For stores that are reached without TLS, as those inside a cluster mostly are. One small buffer a thread takes all
pieces: the processor's cache still holds a piece when it is written to disk, and none is copied to be put together. A
piece is one call of the kernel, since threads that come back from many short ones wait for each other (the GIL). It
tries once and knows one good answer; whoever asks has another way for the rest.
"""

import re
import socket
import struct
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from croma.buffers import Buffers, cut, put

PIECE = 256 * 1024
"""Bytes of a piece, at most."""
HEAD = 16 * 1024
"""Bytes that the head of an answer may have."""
BUFFERS = 1024
"""Buffers that the kernel fills in one call, at most (IOV_MAX of Linux)."""
CONNECT, TIMEOUT = 10.0, 60
"""Seconds to connect in, and seconds without a byte after which a server is given up."""

_ANSWER = re.compile(rb"HTTP/1\.1 (\d{3} [^\r]*)\r\n(.*?\r\n)\r\n", re.DOTALL)
_RANGE = re.compile(rb"^content-range: *bytes (\d+)-(\d+)/", re.IGNORECASE | re.MULTILINE)
_CLOSES = re.compile(rb"^connection: *close", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"^content-length: *(\d+) *\r$", re.IGNORECASE | re.MULTILINE)


class _Thread(threading.local):
    """What a thread keeps: the buffer, and a connection to the server that it asked last."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(PIECE))
        self.server = ""
        self.connection: socket.socket | None = None


_thread = _Thread()


def get_range(url: str, offset: int, length: int) -> Generator[memoryview, None, None]:
    """The bytes of `url`, an `http://` address, from `offset` on: `length` or, at the end of the file, fewer.

    A piece holds until the next is asked for. A thread reads one range at a time.

    Raises:
        OSError: no connection, an answer that is not the range, or one that breaks off.
    """
    with _asked(url, offset, length) as answer:
        held = answer.held
        while True:
            answer.left -= len(held)
            if len(held):
                yield held
            if answer.left <= 0:
                break
            got = answer.connection.recv_into(_thread.buffer, min(answer.left, PIECE), socket.MSG_WAITALL)
            held = _thread.buffer[:got]
            if not got:
                raise answer.broken()


def get_range_into(url: str, offset: int, buffers: Buffers) -> int:
    """Fill `buffers`, one after the other, with the bytes of `url` from `offset` on; returns how many there were.

    The kernel puts bytes where they belong, so they are copied no second time. Raises as `get_range` does.
    """
    with _asked(url, offset, sum(map(len, buffers))) as answer:
        length = answer.left
        put(answer.held, buffers, 0)
        answer.left -= len(answer.held)
        while answer.left > 0:
            places = cut(buffers, length - answer.left, length)[:BUFFERS]
            got = answer.connection.recvmsg_into(places, 0, socket.MSG_WAITALL)[0]
            if not got:
                raise answer.broken()
            answer.left -= got
    return length


@dataclass
class _Answer:
    """An answer whose head was read."""

    connection: socket.socket
    held: memoryview
    """Bytes that came with the head, in the thread's buffer."""
    left: int
    """Bytes that nobody took, with those."""

    def broken(self) -> OSError:
        return OSError(f"the answer breaks off {self.left} bytes before its end")


@contextmanager
def _asked(url: str, offset: int, length: int) -> Iterator[_Answer]:
    """The answer to a request of a range. Whoever takes all of it leaves the connection to the next request."""
    parts, buffer = urlsplit(url), _thread.buffer
    request = (
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Range: bytes={offset}-{offset + length - 1}\r\nAccept-Encoding: identity\r\n\r\n"
    ).encode("ascii")
    connection, got = _ask(parts.netloc, request, buffer)
    reusable = False
    try:
        head = _ANSWER.match(bytes(buffer[: min(got, HEAD)]))
        if head is None:
            raise OSError("no answer in HTTP/1.1")
        answer = _Answer(connection, buffer[head.end() : got], _length(head, offset, length))
        if len(answer.held) > answer.left:
            raise OSError("an answer that is longer than it says")
        yield answer
        reusable = answer.left == 0 and not _CLOSES.search(head[2])
    finally:
        if reusable:
            _thread.server, _thread.connection = parts.netloc, connection
        else:  # the server wants it so, or what is left of the answer would be taken for the next
            connection.close()


def _length(head: re.Match[bytes], offset: int, length: int) -> int:
    """Bytes after the head of an answer that is what was asked for."""
    status, fields = head.groups()
    if not status.startswith(b"206"):
        raise OSError(f"HTTP {status.decode('ascii', 'replace')}")
    told, sent = _LENGTH.search(fields), _RANGE.search(fields)
    if told is None or sent is None or int(sent[1]) != offset or not 0 < int(told[1]) <= length:
        raise OSError("an answer of another range")
    return int(told[1])


def _ask(server: str, request: bytes, buffer: memoryview) -> tuple[socket.socket, int]:
    """Send a request, take at least the head of the answer. The connection is the caller's.

    On a connection that was kept it is sent anew if need be, as servers close those that were idle for long.
    """
    kept, _thread.connection = _thread.connection, None
    if kept is not None:
        if _thread.server == server:
            with suppress(ConnectionError):
                kept.sendall(request)
                return kept, _head(kept, buffer)
        kept.close()
    connection = _connect(server)
    try:
        connection.sendall(request)
        return connection, _head(connection, buffer)
    except BaseException:
        connection.close()
        raise


def _head(connection: socket.socket, buffer: memoryview) -> int:
    """Bytes received when the head of an answer is whole."""
    got = 0
    while got < HEAD:
        more = connection.recv_into(buffer[got:], HEAD - got)
        if not more:
            raise ConnectionResetError("the server closed the connection")
        got += more
        if b"\r\n\r\n" in bytes(buffer[: min(got, HEAD)]):
            return got
    raise OSError("an answer whose head does not end")


def _connect(server: str) -> socket.socket:
    host, _, port = server.rpartition(":") if re.search(r":\d+$", server) else (server, "", "80")
    connection = socket.create_connection((host.strip("[]"), int(port)), CONNECT)
    connection.settimeout(None)  # the kernel's own limit instead: one call a piece, not two
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", TIMEOUT, 0))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", TIMEOUT, 0))
    return connection
