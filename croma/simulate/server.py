"""A STAC API on loopback over a folder of items: `rustac serve`, in memory.

The folder holds `items.json` (an ItemCollection) and any number of `collections/*.json`. Asset addresses may be
relative to the folder; they are made absolute when it is served, so a folder can be moved or served over HTTP.

The server answers POST searches by collection, box, geometry, time and id, and pages right. It mis-answers `query`,
`filter` and `sortby` without saying so, and refuses GET searches by collection.
"""

import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from croma.errors import ContractError, InputError

ITEMS = "items.json"
COLLECTIONS = "collections"
_SERVERS_OWN = {"self", "root", "parent", "collection"}
"""Links that the server writes itself."""


@contextmanager
def serve(folder: Path, *, assets: str | None = None, port: int | None = None, patience: float = 30.0) -> Iterator[str]:
    """The address of a STAC API over `folder`, alive as long as the context.

    Args:
        folder: Where `items.json` lies.
        assets: What relative asset addresses are relative to: an http(s) or s3 address; by default the folder itself.
        port: On 127.0.0.1; by default a free one.
        patience: Seconds to wait for the first answer.

    Raises:
        InputError: there is no `items.json`, or the `rustac` program is not installed.
        ContractError: the server stopped or did not answer in time; carries its last words.
    """
    address = f"127.0.0.1:{port or _free_port()}"
    with tempfile.TemporaryDirectory(prefix="croma-stac-") as scratch:
        inputs = _inputs(folder, assets or str(folder.resolve()), Path(scratch))
        log = Path(scratch) / "log"
        command = [_program(), "serve", "-a", address, "--use-duckdb", "false", "--create-collections", *inputs]
        with log.open("wb") as words:
            process = subprocess.Popen(command, stdout=words, stderr=words)
        try:
            _await_answer(f"http://{address}/", process, log, patience)
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait()


def absolute(items: dict[str, Any], base: str) -> dict[str, Any]:
    """`items` (an ItemCollection) with every relative asset address made absolute under `base`."""
    return {**items, "features": [_absolute_item(item, base.rstrip("/")) for item in items["features"]]}


def _absolute_item(item: dict[str, Any], base: str) -> dict[str, Any]:
    assets = {
        key: {**asset, "href": href if "://" in (href := asset["href"]) or href.startswith("/") else f"{base}/{href}"}
        for key, asset in item["assets"].items()
    }
    for asset in assets.values():
        asset["href"] = asset["href"].replace("/./", "/")
    links = [link for link in item["links"] if link["rel"] not in _SERVERS_OWN]
    return {**item, "assets": assets, "links": links}


def _inputs(folder: Path, base: str, scratch: Path) -> list[str]:
    try:
        items = json.loads((folder / ITEMS).read_text())
    except FileNotFoundError:
        raise InputError(f"{folder}: there is no {ITEMS} to serve; build the world first") from None
    served = scratch / ITEMS
    served.write_text(json.dumps(absolute(items, base)))
    return [*map(str, sorted((folder / COLLECTIONS).glob("*.json"))), str(served)]


def _program() -> str:
    """The `rustac` program of this environment, whether or not the environment is activated."""
    directories: tuple[str, ...] = (
        sysconfig.get_path("scripts"),
        str(Path(sys.executable).parent),
        *os.get_exec_path(),
    )
    for directory in directories:
        candidate = Path(directory) / "rustac"
        if candidate.is_file():
            return str(candidate)
    raise InputError("the rustac program is missing: install the build extra (pip install 'croma-pipeline[build]')")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_answer(url: str, process: "subprocess.Popen[bytes]", log: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ContractError(f"the STAC server stopped with code {process.returncode}: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 (loopback, our own server)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.03)
    raise ContractError(f"the STAC server at {url} gave no answer within {patience:.0f} s: {log.read_text()[-2000:]}")
