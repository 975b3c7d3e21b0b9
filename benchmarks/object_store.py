"""An object store on loopback whose first byte takes a while: nginx, with the delay of its echo module.

It answers GET and HEAD of `/bucket/key`, whole or in ranges, as S3 does, and looks at no signature. On Debian:
`apt-get install nginx-light libnginx-mod-http-echo`.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ECHO = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")

CONFIGURATION = """
load_module {echo};
daemon off;
user root;
worker_processes 1;
pid {scratch}/nginx.pid;
error_log {scratch}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port};
    location / {{ echo_sleep {delay}; echo_exec @files; }}
    location @files {{ root {root}; default_type application/octet-stream; }}
  }}
}}
"""


def is_there() -> bool:
    """Whether this machine has what it takes."""
    return _nginx() is not None and ECHO.exists()


@contextmanager
def serve(root: Path, delay: float) -> Iterator[str]:
    """The address of a server of the buckets (folders) in `root` that waits `delay` seconds before each answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nginx = _nginx()
    assert nginx is not None
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "nginx.conf"
        path.write_text(CONFIGURATION.format(echo=ECHO, scratch=scratch, port=port, delay=delay, root=root.resolve()))
        command = [nginx, "-p", scratch, "-c", str(path), "-e", f"{scratch}/error.log"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                _await(port, server, Path(scratch) / "error.log")
                yield f"http://127.0.0.1:{port}"
            finally:
                server.terminate()


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def _await(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 10
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nginx does not start: {log.read_text() if log.exists() else 'no log'}")
