"""A token service on loopback, and the storage that its tokens open."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class TokenServer(ThreadingHTTPServer):
    """Gives tokens at `/token/<account>/<container>`; `/<container>/<path>` is read with one that it still honours."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, life: float = 3600.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.life = life
        self.throttled = 0
        """So many next requests for a token are answered 429."""
        self.expired = 0
        """So many next tokens are expired when they are given."""
        self.status = 200
        self.tokens: dict[str, float] = {}
        self.asked: Counter[str] = Counter()
        self.keys: list[str | None] = []
        self.lock = threading.Lock()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def revoke(self) -> None:
        self.tokens.clear()

    def __contains__(self, query: object) -> bool:
        """Whether an address with this query is let in."""
        [secret] = parse_qs(str(query)).get("sig", [""])
        return self.tokens.get(secret, 0) > time.time()

    def token(self, container: str) -> tuple[int, dict[str, Any]]:
        with self.lock:
            self.asked[container] += 1
            if self.throttled > 0:
                self.throttled -= 1
                return 429, {"message": "Rate limit is exceeded. Try again in 1 seconds."}
            if self.status != 200:
                return self.status, {"message": "no"}
            expiry = time.time() + self.life
            if self.expired > 0:
                self.expired -= 1
                expiry -= self.life + 60
            secret = f"SECRET{sum(self.asked.values()):04d}"
            self.tokens[secret] = expiry
        when = datetime.fromtimestamp(expiry, UTC)
        text = f"st={when - timedelta(hours=1):%Y}&se={when:%Y}&sp=rl&sv=2024-05-04&sr=c&sig={secret}"
        return 200, {"msft:expiry": when.isoformat().replace("+00:00", "Z"), "token": text}


class _Handler(BaseHTTPRequestHandler):
    server: TokenServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path.startswith("/token/"):
            self.server.keys.append(self.headers.get("Ocp-Apim-Subscription-Key"))
            status, body = self.server.token(parts.path.removeprefix("/token/"))
        else:
            good = parts.query in self.server
            status, body = (200, {"data": parts.path}) if good else (403, {"message": "AuthenticationFailed"})
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@contextmanager
def token_server(life: float = 3600.0) -> Iterator[TokenServer]:
    server = TokenServer(life)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
