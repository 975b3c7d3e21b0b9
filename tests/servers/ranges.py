"""A file server on loopback that answers range requests, and that fails as it is told."""

import re
import threading
import time
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class FileServer:
    """What the server does, and what it has seen."""

    root: Path
    address: str = ""
    faults: dict[str, list[int | str]] = field(default_factory=dict)
    """By name of a file: what to answer to its next requests (an HTTP status, "cut" for a body that breaks off, "whole"
    for no ranges); the last one stays."""
    good: Container[str] | None = None
    """Query strings that are let in; None lets in everything."""
    delay: float = 0.0
    """Seconds before each answer."""
    requests: Counter[str] = field(default_factory=Counter)
    """By path."""
    bytes: int = 0
    connections: set[tuple[str, int]] = field(default_factory=set)
    ranges: list[tuple[str, int, int]] = field(default_factory=list)
    """(path, first byte, byte after the last one) of every range that was sent."""

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"

    def fault(self, path: str) -> int | str | None:
        waiting = self.faults.get(path, [])
        return waiting.pop(0) if len(waiting) > 1 else waiting[0] if waiting else None


@contextmanager
def serve_files(root: Path) -> Iterator[FileServer]:
    """Serve the files below `root` until the block ends."""
    state = FileServer(root)

    class Handler(_Handler):
        server_state = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server_state: FileServer

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, body: bool) -> None:
        state, parts = self.server_state, urlsplit(self.path)
        path = unquote(parts.path).lstrip("/")
        state.requests[path] += 1
        state.connections.add(self.client_address)
        time.sleep(state.delay)
        fault = state.fault(path)
        if state.good is not None and parts.query not in state.good:
            fault = 403
        if isinstance(fault, int):
            self._send(fault, b"", 0, {"Retry-After": "0"}, body)
            return
        try:
            data = (state.root / path).read_bytes()
        except OSError:
            self._send(404, b"", 0, {}, body)
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked or fault == "whole":
            self._send(200, data, len(data), {}, body)
            return
        start, end = int(asked[1]), min(int(asked[2] or len(data)) + 1, len(data))
        if start >= len(data):
            self._send(416, b"", 0, {"Content-Range": f"bytes */{len(data)}"}, body)
            return
        part = data[start:end]
        state.ranges.append((path, start, end))
        state.bytes += len(part)
        sent = part[: len(part) // 2] if fault == "cut" else part
        self._send(206, sent, len(part), {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}, body)

    def _send(self, status: int, data: bytes, length: int, headers: dict[str, str], body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if body:
            self.wfile.write(data)
        self.wfile.flush()
        self.close_connection = len(data) < length
