"""A headless Chromium that opens a page, runs script in it and takes pictures, over the DevTools protocol."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect


class Browser:
    """One open page."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, path: Path, first: str = "html", last: str = "html", width: int = 1400) -> None:
        """A PNG of the page from the top of the element `first` to the bottom of `last`, by CSS selector."""
        for height in (800, None):
            tall = height or int(self.run("document.documentElement.scrollHeight"))
            self.call("Emulation.setDeviceMetricsOverride", width=width, height=tall, deviceScaleFactor=1, mobile=False)
            time.sleep(0.3)
        top, bottom = (
            self.run(f"document.querySelector('{selector}').getBoundingClientRect().{side}")
            for selector, side in ((first, "top"), (last, "bottom"))
        )
        clip = {"x": 0, "y": top, "width": width, "height": bottom - top, "scale": 1}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png", clip=clip)["data"]))


@contextmanager
def open_page(page: Path, profile: Path) -> Iterator[Browser]:
    """The page in a browser; skips the test where there is no Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium: install one, or run tools/system-packages.sh")
    command = [
        program,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-port=0",
        "--no-first-run",
    ]
    command += [f"--user-data-dir={profile}", page.resolve().as_uri()]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            port = _port(profile / "DevToolsActivePort")
            with connect(_socket_address(port, page.resolve().as_uri()), max_size=None) as socket:
                browser = Browser(socket)
                ready = f"document.readyState == 'complete' && location.href == '{page.resolve().as_uri()}'"
                _until(lambda: browser.run(ready))
                yield browser
        finally:
            process.terminate()


def _port(file: Path) -> int:
    _until(lambda: file.exists() and file.read_text().count("\n") > 0)
    return int(file.read_text().splitlines()[0])


def _socket_address(port: int, address: str) -> str:
    found: list[str] = []

    def look() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=5) as answer:
            found[:] = [page["webSocketDebuggerUrl"] for page in json.load(answer) if page["url"] == address]
        return bool(found)

    _until(look)
    return found[0]


def _until(true: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "the browser did not get there"
        time.sleep(0.1)
