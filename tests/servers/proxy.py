"""A proxy on loopback before a real S3 server, that fails as it is told."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Fault = Callable[[int, str], int | str | None]
"""Gets the number of the write (from 1) and its path. Says what becomes of it: a status is answered, nothing written;
"lost": it is written but no answer comes; "cut": nothing is written and the connection breaks; None: it is well."""

WRITES = ("PUT", "POST", "DELETE")
_HOPS = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class FaultProxy(ThreadingHTTPServer):
    """Hands everything on, and lets writes fail."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: str, fault: Fault) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.fault = fault
        self.writes = 0
        self.failed = 0
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *args: object) -> None:
        """Quiet: clients hang up as they like."""

    def fate(self, method: str, path: str) -> int | str | None:
        if method not in WRITES:
            return None
        with self.lock:
            self.writes += 1
            fate = self.fault(self.writes, path)
            self.failed += fate is not None
            return fate


class _Handler(BaseHTTPRequestHandler):
    server: FaultProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fate = self.server.fate(self.command, self.path)
        if isinstance(fate, int):
            return self._answer(fate, {"Content-Type": "application/xml"}, _REFUSAL)
        if fate != "cut":
            connection = http.client.HTTPConnection(self.server.upstream, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            if fate is None:
                headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOPS}
                length = answer.getheader("Content-Length") if self.command == "HEAD" else None
                return self._answer(answer.status, headers, data, length)
        self.close_connection = True
        return None

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _hand_on  # noqa: N815

    def _answer(self, status: int, headers: dict[str, str], data: bytes, length: str | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Quiet."""


_REFUSAL = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@contextmanager
def fault_proxy(upstream: str, fault: Fault) -> Iterator[FaultProxy]:
    server = FaultProxy(upstream, fault)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
