"""Servers as processes: found again by number and start time, stopped with their children, nobody else's touched."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from infra.local.stack import parts
from infra.local.stack.process import Process, StackError, run
from infra.local.stack.site import PORTS, StackSite

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("child", "w").write(str(child.pid))
time.sleep(60)
"""


def server(folder: Path, code: str = PARENT, **more: object) -> Process:
    given: dict[str, object] = {"answers": (folder / "part" / "child").exists, "patience": 20.0, **more}
    return Process(
        name="part", command=(sys.executable, "-c", code), environment={"KEY": "1"}, folder=folder / "part", **given
    )


def test_start_find_stop(tmp_path: Path) -> None:
    process = server(tmp_path)
    assert process.start() > 0
    assert process.start() == 0  # it runs already
    found = server(tmp_path).find()  # by another process of ours, later
    assert found is not None
    assert found.environ()["KEY"] == "1"
    child = psutil.Process(int((tmp_path / "part" / "child").read_text()))
    assert process.memory() > child.memory_full_info().uss
    process.stop(seconds=2)
    assert process.find() is None
    assert not child.is_running()
    process.stop()  # nothing to do


def test_kill_takes_children_along(tmp_path: Path) -> None:
    process = server(tmp_path)
    process.start()
    child = psutil.Process(int((tmp_path / "part" / "child").read_text()))
    process.kill()
    assert not child.is_running()
    assert process.find() is None


def test_a_number_that_somebody_else_has_now(tmp_path: Path) -> None:
    process = server(tmp_path)
    (tmp_path / "part.pid").write_text(f"{os.getpid()} {time.time() - 86_400}")
    assert process.find() is None
    process.stop()  # and so we live


def test_what_a_server_said_before_it_died(tmp_path: Path) -> None:
    code = "import sys; print('no space left'); sys.exit(3)"
    with pytest.raises(StackError, match=r"(?s)part ended with status 3; .*no space left"):
        server(tmp_path, code).start()
    silent = server(tmp_path, "import time; time.sleep(30)", answers=lambda: False, patience=1.0)
    with pytest.raises(StackError, match="did not answer within 1 s"):
        silent.start()
    silent.kill()


def test_before_and_after(tmp_path: Path) -> None:
    told: list[str] = []
    process = server(tmp_path, before=lambda: told.append("before"), after=lambda: told.append("after"))
    process.start()
    process.start()
    process.kill()
    assert told == ["before", "after"]


def test_what_was_started_is_stopped_though_a_server_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def part(name: str, code: str) -> Process:
        folder = tmp_path / name
        return Process(
            name=name, command=(sys.executable, "-c", code), environment={}, folder=folder, answers=lambda: True
        )

    wait = "import time; time.sleep(60)"
    kept, started = part("kept", wait), part("started", wait)
    failing = replace(part("failing", "raise SystemExit('no')"), answers=lambda: False)
    monkeypatch.setattr(parts, "parts", lambda site: [kept, started, failing])
    kept.start()
    told: list[str] = []
    with (
        pytest.raises(StackError, match="failing ended with status 1"),
        parts.running(StackSite(tmp_path), told.append),
    ):
        raise AssertionError("never comes here")
    assert [line.split() for line in told] == [
        ["kept", "runs"],
        ["started", "up", "in", "0.0", "s"],
        ["started", "stopped"],
    ]
    assert started.find() is None
    assert kept.find() is not None
    kept.stop()


def test_farewell(tmp_path: Path) -> None:
    code = PARENT.replace("time.sleep(60)\n", "\n", 0) + ""
    code = code.replace("import subprocess", "import signal, subprocess", 1).replace(
        "child =", "signal.signal(signal.SIGINT, lambda *_: (open('bye', 'w'), sys.exit()))\nchild =", 1
    )
    process = server(tmp_path, code, farewell=signal.SIGINT)
    process.start()
    process.stop(seconds=3)
    assert (tmp_path / "part" / "bye").exists()


def test_a_command_that_fails() -> None:
    with pytest.raises(StackError, match=r"(?s)python.* -c failed:.*it hurts"):
        run([sys.executable, "-c", "raise SystemExit('it hurts')"])


def test_two_sites_share_nothing(tmp_path: Path) -> None:
    one, two = StackSite(tmp_path / "one"), StackSite(tmp_path / "two", shift=300)
    assert one.secrets == StackSite(tmp_path / "one").secrets
    assert (tmp_path / "one" / "secrets.json").stat().st_mode & 0o077 == 0
    assert not set(one.secrets.values()) & set(two.secrets.values())
    assert not {one.port(name) for name in PORTS} & {two.port(name) for name in PORTS}
    assert one.runtime != two.runtime
    assert max(two.port(name) for name in PORTS) < 10_002  # where Ray's worker ports begin
    assert "postgres" not in " ".join(one.environment().values())  # clients need no database


def test_the_command_line_lists_what_it_exports(tmp_path: Path) -> None:
    environment = {**os.environ, "CROMA_STACK_HOME": str(tmp_path), "CROMA_STACK_SHIFT": "300"}
    command = [sys.executable, "-m", "infra.local.stack", "env"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert f"export AWS_ENDPOINT_URL=http://127.0.0.1:{7480 + 300}" in said
    assert "export CROMA_STORAGE=s3://croma" in said
