"""STAC APIs on loopback for tests: one that ignores what it is asked and misbehaves as told, and rustac's."""

import json
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.conftest import free_port

Fault = Callable[["Handler", int], bool]
"""Gets the handler and the number of the search (from 1); answers itself and returns True, or returns False."""


class CarelessServer(ThreadingHTTPServer):
    """A STAC API that ignores every filter, shuffles its items, pages by POST token and sends some items twice."""

    daemon_threads = True

    def __init__(self, items: list[dict[str, Any]], page: int = 7, fault: Fault | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.items = list(items)
        random.Random(0).shuffle(self.items)
        self.page = page
        self.fault = fault
        self.searches: list[dict[str, Any]] = []
        self.times: list[float] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """The page that `body` asks for: one item of the page before comes again, and there is an empty last page."""
        start = int(body.get("token", 0))
        found = self.items[max(start - 1, 0) : start + self.page] if start < len(self.items) else []
        token = {"token": str(start + self.page)}
        link = {"rel": "next", "method": "POST", "href": f"{self.address}/search", "body": token, "merge": True}
        return {"type": "FeatureCollection", "features": found, "links": [link] if start < len(self.items) else []}


class Handler(BaseHTTPRequestHandler):
    server: CarelessServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        base = self.server.address
        if self.path.startswith("/collections"):
            names = sorted({item["collection"] for item in self.server.items})
            self.reply({"collections": [collection(name) for name in names], "links": []})
        else:
            conforms = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
            links = [
                {"rel": "search", "href": f"{base}/search", "type": "application/geo+json", "method": "GET"},
                {"rel": "search", "href": f"{base}/search", "type": "application/geo+json", "method": "POST"},
                {"rel": "data", "href": f"{base}/collections"},
                {"rel": "self", "href": base},
                {"rel": "root", "href": base},
            ]
            kind = {"type": "Catalog", "id": "careless", "stac_version": "1.0.0", "description": "x"}
            self.reply(
                {**kind, "conformsTo": [*conforms, "https://api.stacspec.org/v1.0.0/collections"], "links": links}
            )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.searches.append(body)
        self.server.times.append(time.monotonic())
        if self.server.fault is None or not self.server.fault(self, len(self.server.searches)):
            self.reply(self.server.answer(body))

    def reply(self, content: Any, status: int = 200, **headers: str) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def cut(self, content: Any) -> None:
        """Half an answer, then a closed connection."""
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Quiet."""


def collection(name: str) -> dict[str, Any]:
    """The least that a collection must say."""
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "description": name,
        "license": "proprietary",
        "links": [],
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
    }


@contextmanager
def careless(items: list[dict[str, Any]], page: int = 7, fault: Fault | None = None) -> Iterator[CarelessServer]:
    server = CarelessServer(items, page, fault)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def rustac(items: list[dict[str, Any]], folder: Path) -> Iterator[str]:
    """`rustac serve` over `items` in memory; yields its address."""
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    port = free_port()
    binary = Path(sys.executable).parent / "rustac"
    command = [
        str(binary),
        "serve",
        "-a",
        f"127.0.0.1:{port}",
        "--use-duckdb",
        "false",
        "--create-collections",
        str(path),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield wait(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(10)


def wait(address: str, process: "subprocess.Popen[bytes]", seconds: float = 30) -> str:
    """`address`, once it answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(address, timeout=1).close()
        except OSError:
            if process.poll() is not None:
                raise RuntimeError(f"the server of {address} ended with {process.returncode}") from None
            time.sleep(0.05)
        else:
            return address
    raise RuntimeError(f"{address} does not answer within {seconds} s")
