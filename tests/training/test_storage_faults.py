"""Storage that really fails while a run saves: a full disk, a server that goes away. Nothing that was saved is lost."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from croma import storage
from croma.errors import TransientError
from croma.training import checkpoint
from croma.training.checkpoint import CheckpointStore
from croma.training.loop import train


def run(tools: Any, store: CheckpointStore | None, watcher: Any = None) -> tuple[list[Any], dict[str, torch.Tensor]]:
    """Train from the newest checkpoint of `store`; (curve, weights)."""
    objective, pixels, losses = tools.objective(), tools.pixels(), tools.losses()
    watchers = [losses, *([watcher] if watcher else [])]
    try:
        train(objective, pixels.batches, pixels.images, tools.plan(), checkpoints=store, watchers=watchers)
    finally:
        if store is not None:
            store.close()
    return losses.curve, objective.state_dict()


class At:
    """Does something after a step."""

    def __init__(self, step: int, act: Any) -> None:
        self.step, self.act = step, act

    def after_step(self, report: Any, batch: Any, objective: Any) -> None:
        if report.step == self.step:
            self.act()


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], check=False)
    if mounted.returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_ends_the_run_and_loses_nothing(tools: Any, small_disk: Path) -> None:
    straight, weights = run(tools, None)
    ballast, place = small_disk / "ballast", str(small_disk / "checkpoints")

    def fill() -> None:
        while not storage.exists(storage.join(place, "000000004", "manifest.json")):
            time.sleep(0.01)  # it is written beside the steps
        free = os.statvfs(small_disk)
        ballast.write_bytes(bytes(free.f_bavail * free.f_frsize))

    with pytest.raises(
        TransientError, match=r"step 8 could not be written .*No space left on device.*; step 4 is safe\. Make room"
    ):
        run(tools, CheckpointStore(place), At(6, fill))
    assert storage.list_names(place)[0] == "000000004"
    ballast.unlink()
    resumed, again = run(tools, CheckpointStore(place))
    assert resumed == straight[4:]
    assert_equal(again, weights)


class Wire:
    """A port that passes bytes to another one, until it is cut."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._open: list[socket.socket] = []
        self._changing = threading.Lock()
        self._listen(0)

    def _listen(self, port: int) -> None:
        self._whole = True
        self._server = socket.create_server(("127.0.0.1", port))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return
            called = socket.create_connection(("127.0.0.1", self._to))
            with self._changing:  # a caller that came in just before the cut must not live through it
                self._open += [caller, called]
                if not self._whole:
                    self._hang_up()
            for here, there in ((caller, called), (called, caller)):
                threading.Thread(target=self._pass, args=(here, there), daemon=True).start()

    def _pass(self, here: socket.socket, there: socket.socket) -> None:
        try:
            while data := here.recv(65536):
                there.sendall(data)
        except OSError:
            pass
        finally:
            there.close()

    def cut(self) -> None:
        with self._changing:
            self._whole = False
            self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._hang_up()

    def _hang_up(self) -> None:
        for end in self._open:
            with suppress(OSError):  # the other side has hung up before
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def mend(self) -> None:
        self._listen(self.port)


@pytest.mark.slow
def test_a_store_that_goes_away_ends_the_run_and_loses_nothing(
    tools: Any, s3_server: str, s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "PAUSE", 0.01)
    straight, weights = run(tools, None)
    wire = Wire(int(s3_server.rpartition(":")[2]))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{wire.port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    place = storage.join(s3_root, "checkpoints")

    def cut() -> None:
        while not storage.exists(storage.join(place, "000000004", "manifest.json")):
            time.sleep(0.01)  # it is written beside the steps
        wire.cut()

    with pytest.raises(TransientError, match=r"step 8 could not be written .*; step 4 is safe\. Make room or restore"):
        run(tools, CheckpointStore(place), At(6, cut))
    wire.mend()
    with closing(CheckpointStore(place)) as store:
        found = store.newest()
    assert found is not None
    assert found["progress"]["step"] == 4
    resumed, again = run(tools, CheckpointStore(place))
    assert resumed == straight[4:]
    assert_equal(again, weights)
