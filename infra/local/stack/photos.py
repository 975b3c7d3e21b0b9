"""Pictures of the pages, from a headless Chromium that is driven over its debugging protocol."""

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from infra.local.stack.process import StackError
from infra.local.stack.site import StackSite

SIZE = (1440, 1200)
_EXPANDER = ".ag-row [col-id] button[class*=link]:has(svg)"
"""What shows the runs below a run in MLflow's list."""


class Page:
    """A page of the browser."""

    def __init__(self, socket: Connection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == number:
                if "error" in answer:
                    raise StackError(f"the browser refused {method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def log_in(self, address: str, authorization: str, remembered: Mapping[str, str]) -> None:
        """Send an authorization with every request to `address`; leave what its page keeps in the browser."""
        self.ask("Network.enable")
        self.ask("Network.setExtraHTTPHeaders", headers={"Authorization": authorization})
        self.ask("Page.navigate", url=address)
        time.sleep(2)
        for name, value in remembered.items():
            self.ask("Runtime.evaluate", expression=f"localStorage.setItem({json.dumps(name)}, {json.dumps(value)})")
        self.ask("Page.navigate", url="about:blank")  # a page that stays would not read what it keeps again

    def take(self, address: str, path: Path, words: str, opener: str = "", patience: float = 40.0) -> None:
        """Open an address, wait until `words` stand on the page, and keep a picture of it.

        `opener` selects what opens rows of a nested list; the last of them is pressed until the words are there.

        Raises:
            StackError: the words did not come.
        """
        self.ask("Page.navigate", url=address)
        deadline = time.monotonic() + patience
        while words.lower() not in self._text().lower():
            if time.monotonic() > deadline:
                raise StackError(f"{address}: “{words}” did not appear; the page says: {self._text()[:300]}")
            if opener:
                self.ask("Runtime.evaluate", expression=f"[...document.querySelectorAll({opener!r})].at(-1)?.click()")
                time.sleep(1.5)
            time.sleep(0.5)
        time.sleep(2)  # for what fades in
        picture = self.ask("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(picture["data"]))

    def _text(self) -> str:
        found = self.ask("Runtime.evaluate", expression="document.body ? document.body.innerText : ''")
        return str(found["result"].get("value", ""))


def photograph(site: StackSite, folder: Path, experiment: str) -> list[Path]:
    """Pictures of Prefect's runs, MLflow's experiment and Ray's jobs.

    Raises:
        StackError: Chromium is missing, or a page does not show what it should.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prefect, mlflow, ray = (site.address(name) for name in ("prefect", "mlflow", "ray-dashboard"))
    with _browser() as page:
        known = base64.b64encode(f"admin:{site.secrets['prefect']}".encode()).decode()
        page.log_in(prefect, f"Basic {known}", {"prefect-password": known})
        page.take(f"{prefect}/runs", folder / "prefect-runs.png", "whole-way")
        page.take(f"{prefect}/deployments", folder / "prefect-deployments.png", "on-demand")
        page.take(f"{prefect}/artifacts", folder / "prefect-artifacts.png", "dataset-")
        known = base64.b64encode(f"admin:{site.secrets['mlflow']}".encode()).decode()
        closed = {"mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true", "mlflow.assistant.panelOpen_v1": "false"}
        page.log_in(mlflow, f"Basic {known}", closed)
        found = MlflowClient(mlflow).get_experiment_by_name(experiment)
        if found is None:
            raise StackError(f"MLflow has no experiment {experiment}")
        runs = f"{mlflow}/#/experiments/{found.experiment_id}/runs?workflowType=machine_learning"
        page.take(runs, folder / "mlflow-runs.png", "evaluate-", _EXPANDER)
        page.log_in(ray, f"Bearer {site.secrets['ray']}", {})
        page.take(f"{ray}/#/jobs", folder / "ray-jobs.png", experiment)
        page.take(f"{ray}/#/cluster", folder / "ray-cluster.png", "ALIVE")
    return sorted(folder.glob("*.png"))


@contextlib.contextmanager
def _browser() -> Iterator[Page]:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise StackError("chromium is missing; run tools/system-packages.sh as root")
    with tempfile.TemporaryDirectory(prefix="croma-browser-", ignore_cleanup_errors=True) as profile:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        flags += ["--disable-component-update", "--disable-sync", "--remote-debugging-port=0", "--hide-scrollbars"]
        size = f"--window-size={SIZE[0]},{SIZE[1]}"
        command = [chromium, *flags, size, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with connect(_page_address(Path(profile)), max_size=None, proxy=None) as socket:
                page = Page(socket)
                page.ask("Page.enable")
                width, height = SIZE
                page.ask(
                    "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
                )
                yield page
        finally:
            process.terminate()
            process.wait(20)


def _page_address(profile: Path) -> str:
    """Where the first page listens; the browser writes its port into its profile."""
    port_file, deadline = profile / "DevToolsActivePort", time.monotonic() + 60
    while time.monotonic() < deadline:
        if port_file.exists() and (lines := port_file.read_text().splitlines()):
            with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json") as answer:
                pages = [page for page in json.load(answer) if page["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.2)
    raise StackError("the browser did not start within a minute")
