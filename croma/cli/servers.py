"""Prefect and MLflow on loopback, for looking at what runs on this machine have left."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from croma.cli.show import console, out
from croma.errors import ContractError, InputError
from flows.site import Site

PATIENCE = 90.0
"""Seconds to wait for a server's first answer."""


def serve_local(site: Site, prefect_port: int, mlflow_port: int) -> None:
    """Start both servers over the site's home, print their addresses, and stay until interrupted.

    Raises:
        InputError: a port is taken.
        ContractError: a server stopped or did not answer; carries the path of its log.
    """
    if not site.tracker.uri.startswith("sqlite"):
        raise InputError(f"site: runs are tracked by a server already; open {site.tracking}")
    prefect_address, mlflow_address = (f"http://127.0.0.1:{port}" for port in (prefect_port, mlflow_port))
    interface = {"PREFECT_SERVER_UI_API_URL": f"{prefect_address}/api"}
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with ExitStack() as stack:
        processes = [
            _start(stack, site.home, "prefect", _prefect(prefect_port), interface),
            _start(stack, site.home, "mlflow", _mlflow(site, mlflow_port), quiet),
        ]
        _await_answer(f"{prefect_address}/api/health", processes[0], site.home / "logs" / "prefect.log")
        _await_answer(f"{mlflow_address}/health", processes[1], site.home / "logs" / "mlflow.log")
        out.print(f"Prefect  {prefect_address}\nMLflow   {mlflow_address}")
        console.print("Ctrl-C stops both.")
        try:
            while all(process.poll() is None for process in processes):
                time.sleep(0.5)
        except KeyboardInterrupt:
            return
        raise ContractError(f"a server stopped; its last words are in {site.home / 'logs'}")


def _prefect(port: int) -> list[str]:
    return [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]


def _mlflow(site: Site, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", site.tracker.uri, "--artifacts-destination", site.tracker.artifacts or str(site.home)),
    ]


def _start(
    stack: ExitStack, home: Path, name: str, command: list[str], more: dict[str, str]
) -> "subprocess.Popen[bytes]":
    log = home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    words = stack.enter_context(log.open("wb"))
    environment = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
    process = subprocess.Popen(command, stdout=words, stderr=words, env=environment | more)
    stack.callback(_stop, process)
    return process


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_answer(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2).close()  # noqa: S310 - our own loopback address
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
        else:
            return
    raise ContractError(f"{address} does not answer; the port may be taken. The server's log: {log}")
