"""Jobs on a real Ray cluster: how they end, that a second asker waits for the first, and that they can be stopped."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from croma import cluster
from croma.errors import ContractError, InputError, TransientError
from infra.local.stack.site import StackSite

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]


@pytest.fixture
def address(site: StackSite) -> str:
    return site.address("ray-dashboard")


def python(code: str) -> list[str]:
    return ["python", "-c", code]


def test_a_job_that_ends_well(address: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    cluster.run_job(address, "well", python(f"open({str(trace)!r}, 'w').write('ran')"))
    assert trace.read_text() == "ran"


@pytest.mark.parametrize(("code", "kind"), [(2, InputError), (3, ContractError), (1, TransientError)])
def test_a_job_says_how_it_failed(address: str, code: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="the words of its end"):
        cluster.run_job(
            address, f"fails-{code}", python(f"import sys; print('the words of its end'); sys.exit({code})")
        )


def test_who_asks_again_waits_for_the_first(address: str, site: StackSite) -> None:
    first = threading.Thread(target=cluster.run_job, args=(address, "shared", python("import time; time.sleep(30)")))
    first.start()
    jobs = cluster._client(address)
    deadline = time.monotonic() + 120
    while cluster._running(jobs, "shared") is None and time.monotonic() < deadline:
        time.sleep(0.5)
    cluster.run_job(address, "shared", python("raise SystemExit('never runs')"))
    first.join()
    started = [job for job in jobs.list_jobs() if (job.submission_id or "").startswith("shared-")]
    assert len(started) == 1


def test_a_job_is_stopped_by_its_notes(address: str) -> None:
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            cluster.run_job(address, "long", python("import time; time.sleep(600)"), {"flow_run": "7"})
        except TransientError as error:
            ended.append(error)

    asker = threading.Thread(target=ask)
    asker.start()
    stopped: list[str] = []
    deadline = time.monotonic() + 120
    while not stopped and time.monotonic() < deadline:
        stopped = cluster.stop_jobs(address, {"flow_run": "7"})
        time.sleep(0.5)
    asker.join(120)
    assert len(stopped) == 1
    assert len(ended) == 1
    assert "stopped" in str(ended[0])
    assert cluster.stop_jobs(address, {"flow_run": "7"}) == []


def test_a_cluster_that_is_not_there() -> None:
    with pytest.raises(TransientError, match="does not answer"):
        cluster.run_job("http://127.0.0.1:9", "nothing", python("pass"))


def test_a_cluster_that_does_not_know_us(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", f"from croma import cluster; cluster.run_job({address!r}, 'n', ['true'])"]
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 40)
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "InputError" in said
    assert "refused us; set RAY_AUTH_MODE=token" in said
