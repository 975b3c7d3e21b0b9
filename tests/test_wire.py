import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from croma import wire

DATA = bytes(range(256)) * 4_000


class Server(ThreadingHTTPServer):
    """Answers ranges of `DATA`, in the way that the path names."""

    daemon_threads = True

    def __init__(self) -> None:
        self.connections = 0
        super().__init__(("127.0.0.1", 0), Answer)

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients here hang up in the middle on purpose."""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        body, way = DATA[first : last + 1], self.path.strip("/?")
        self.send_response({"absent": 404, "ignorant": 200}.get(way, 206))
        self.send_header("Content-Range", f"bytes {first + (way == 'elsewhere')}-{first + len(body) - 1}/{len(DATA)}")
        self.send_header("Content-Length", str(len(body) + (way == "longer")))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if way == "broken" else body)
        self.close_connection = way in ("broken", "idle")  # without saying so

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetched(url: str, offset: int, length: int) -> bytes:
    return b"".join(bytes(piece) for piece in wire.get_range(url, offset, length))


def test_ranges_come_in_pieces_over_one_connection(server: Server) -> None:
    pieces = [len(piece) for piece in wire.get_range(server.url("file"), 5, 600_000)]
    assert sum(pieces) == 600_000
    assert max(pieces) <= wire.PIECE
    for offset, length in ((0, 1), (123, 700_000), (len(DATA) - 10, 100)):
        assert fetched(server.url("file"), offset, length) == DATA[offset : offset + length]
    assert server.connections == 1


@pytest.mark.parametrize("offset", [0, len(DATA) - 300_000])
def test_ranges_are_put_where_they_belong(server: Server, offset: int) -> None:
    memory = bytearray(700_000)
    places = [memoryview(memory)[start : start + 350] for start in range(0, 700_000, 350)]  # more than one call takes
    got = wire.get_range_into(server.url("file"), offset, places)
    assert got == min(700_000, len(DATA) - offset)
    assert memory[:got] == DATA[offset : offset + got]
    assert not any(memory[got:])
    assert fetched(server.url("file"), 3, 1_000) == DATA[3:1_003]
    assert server.connections == 1


def test_a_connection_that_was_closed_meanwhile_is_made_anew(server: Server) -> None:
    for _ in range(3):
        assert fetched(server.url("idle"), 7, 5_000) == DATA[7:5_007]
    assert server.connections == 3


@pytest.mark.parametrize("way", ["absent", "ignorant", "elsewhere", "longer", "broken"])
def test_what_is_not_the_range_is_no_answer(server: Server, way: str) -> None:
    with pytest.raises(OSError, match=r"HTTP|another range|breaks off"):
        fetched(server.url(way), 1_000, 500_000)
    with pytest.raises(OSError, match=r"HTTP|another range|breaks off"):
        wire.get_range_into(server.url(way), 1_000, [memoryview(bytearray(500_000))])
    assert fetched(server.url("file"), 1_000, 500_000) == DATA[1_000:501_000]


def test_what_is_given_up_does_not_disturb_the_next(server: Server) -> None:
    given_up = wire.get_range(server.url("file"), 0, 900_000)
    next(given_up)
    assert fetched(server.url("file"), 50, 5_000) == DATA[50:5_050]
    given_up.close()
    assert fetched(server.url("file"), 60, 5_000) == DATA[60:5_060]
