"""What `croma deploy` registers runs by itself when its hour comes: a real server, a real worker, nobody who asks."""

import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.stack.process import Process, listens, run
from infra.local.stack.site import StackSite
from tests.conftest import REPOSITORY, free_port
from tests.evaluation.world import make_dataset, three_classes

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
PREFECT = str(Path(sys.executable).with_name("prefect"))
QUICK = {
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
}
"""How often the server and the worker look; the schedule itself is kept as anywhere."""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A site with a dataset of its own, and where its Prefect server will be."""
    for name in StackSite(tmp_path).environment():  # another test of this session may have a stack
        monkeypatch.delenv(name, raising=False)
    make_dataset(str(tmp_path / "storage"), tmp_path, three_classes(12))  # named tiny
    paths = {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path]), "CROMA_STORAGE": str(tmp_path / "storage")}
    homes = {"CROMA_HOME": str(tmp_path / "home"), "PREFECT_HOME": str(tmp_path / "prefect-home")}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_CLI_PROMPT": "false", "DO_NOT_TRACK": "1"}
    return {**paths, **homes, **quiet, **QUICK, "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}


@pytest.fixture
def servers(tmp_path: Path, environment: dict[str, str]) -> Iterator[list[Process]]:
    """The server, running, and the worker of the pool of builds, not yet started."""
    address, port = environment["PREFECT_API_URL"], environment["PREFECT_API_URL"].split(":")[-1].split("/")[0]
    started = ("server", "start", "--host", "127.0.0.1", "--port", port)
    server = Process(
        name="server",
        command=(PREFECT, *started),
        environment={**environment, "PREFECT_API_URL": ""},
        folder=tmp_path / "server",
        answers=lambda: listens(f"{address}/health"),
    )
    health = free_port()
    worker = Process(
        name="worker",
        command=(
            *("env", "--default-signal=INT"),  # see the workers of `infra.local.stack.services`
            *(PREFECT, "worker", "start", "--pool", "croma-build", "--type", "process", "--with-healthcheck"),
        ),
        environment={**environment, "PREFECT_WORKER_WEBSERVER_PORT": str(health)},
        folder=tmp_path / "worker",
        answers=lambda: listens(f"http://127.0.0.1:{health}/health"),
    )
    try:
        server.start()
        yield [server, worker]
    finally:
        worker.stop()
        server.stop()


def ask(address: str, method: str = "GET", **content: Any) -> Any:
    """What the server answers."""
    headers = {"Content-Type": "application/json"}
    data = json.dumps(content).encode() if method != "GET" else None
    with urllib.request.urlopen(urllib.request.Request(address, data, headers, method=method)) as answer:
        return json.loads(answer.read() or "null")


def test_a_schedule_fires(environment: dict[str, str], servers: list[Process], tmp_path: Path) -> None:
    api, recipe = environment["PREFECT_API_URL"], tmp_path / "tiny.yaml"
    recipe.write_text((REPOSITORY / "tests" / "end_to_end" / "tiny.yaml").read_text())
    notices = {"CROMA_NOTICES_URL": "https://hooks.example.org/services/a-secret"}
    said = run(
        [sys.executable, "-m", "croma.cli.main", "deploy", str(recipe), "--file", str(REPOSITORY / "prefect.yaml")],
        environment | notices,
    )
    assert "check-dataset/weekly" in said
    assert "a-secret" not in said
    (notice,) = ask(f"{api}/automations/filter", "POST")
    assert (notice["name"], notice["enabled"]) == ("croma-failures", True)
    weekly = ask(f"{api}/deployments/name/check-dataset/weekly")
    (schedule,) = weekly["schedules"]
    assert schedule["schedule"]["cron"] == "0 6 * * 0"
    # Seconds in place of a week.
    ask(f"{api}/deployments/{weekly['id']}/schedules/{schedule['id']}", "PATCH", schedule={"interval": 5})

    servers[1].start()
    deadline, ended = time.monotonic() + 120, []
    while not ended and time.monotonic() < deadline:
        time.sleep(0.5)
        runs = ask(f"{api}/flow_runs/filter", "POST", deployments={"id": {"any_": [weekly["id"]]}})
        ended = [found for found in runs if found["state_type"] in ("COMPLETED", "FAILED", "CRASHED")]
    log = servers[1].log.read_text()
    assert ended, log
    assert ended[0]["state_type"] == "COMPLETED", log
    assert ended[0]["auto_scheduled"]
    (artifact,) = ask(f"{api}/artifacts/filter", "POST", artifacts={"flow_run_id": {"any_": [ended[0]["id"]]}})
    assert "0 faults" in artifact["data"]
