"""A server as a process of ours: started in a session of its own, found again by its pid file, stopped by its pid."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


class StackError(Exception):
    """A part of the stack cannot run; says which, why and what to do."""


def _nothing() -> None:
    """What most servers need before and after their start."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """One server of the stack."""

    name: str
    command: tuple[str, ...]
    """Runs in the foreground until it is told to stop."""
    environment: Mapping[str, str]
    """Over the environment of the caller."""
    folder: Path
    """Its working directory; pid file and log lie beside it."""
    answers: Callable[[], bool]
    """Whether the server does its work."""
    before: Callable[[], None] = _nothing
    """Makes what the server needs to start, where it is missing."""
    after: Callable[[], None] = _nothing
    """Makes what others need in the server, where it is missing."""
    patience: float = 300.0
    """Seconds in which it must answer after its start; one that ends is noticed at once."""
    farewell: signal.Signals = signal.SIGTERM
    """The signal for an orderly stop."""

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.folder.with_suffix(".log")

    def find(self) -> psutil.Process | None:
        """The running process; None when it is not, whoever has its number now."""
        try:
            pid, started = self._pid_file.read_text().split()
            process = psutil.Process(int(pid))
            same = abs(process.create_time() - float(started)) < 1
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None

    def start(self) -> float:
        """Start the server unless it runs, and wait until it answers; seconds that took.

        Raises:
            StackError: it ended, or did not answer in time; with the end of its log.
        """
        if self.find():
            return 0.0
        begun = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.before()
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._pid_file.write_text(f"{child.pid} {psutil.Process(child.pid).create_time()}")
        while not self.answers():
            if child.poll() is not None:
                raise StackError(f"{self.name} ended with status {child.returncode}; {self._last_words()}")
            if time.monotonic() - begun > self.patience:
                raise StackError(f"{self.name} did not answer within {self.patience:.0f} s; {self._last_words()}")
            time.sleep(0.1)
        self.after()
        return time.monotonic() - begun

    def stop(self, seconds: float = 30.0) -> None:
        """Ask the server to stop; end it and its children when it has not after `seconds`."""
        process = self.find()
        if process is not None:
            family = [process, *process.children(recursive=True)]
            process.send_signal(self.farewell)
            _, alive = psutil.wait_procs(family, seconds)
            _end(alive)
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End the server and its children at once, as a lost machine would."""
        process = self.find()
        if process is not None:
            _end([process, *process.children(recursive=True)])
        self._pid_file.unlink(missing_ok=True)

    def memory(self) -> int:
        """Bytes that the server and its children hold for themselves; 0 when it does not run."""
        process = self.find()
        if process is None:
            return 0
        total = 0
        for member in [process, *process.children(recursive=True)]:
            try:
                total += member.memory_full_info().uss
            except psutil.Error:
                continue  # it ended while we counted
        return total

    @property
    def _pid_file(self) -> Path:
        return self.folder.with_suffix(".pid")

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-15:]
        return f"the end of {self.log}:\n" + "\n".join(f"  {line}" for line in lines)


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, 10)


def run(command: list[str], environment: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
    """Run a command to its end; what it printed.

    Raises:
        StackError: it failed; with its name and the end of what it said.
    """
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-10:])
        raise StackError(f"{Path(command[0]).name} {command[1] if command[1:] else ''} failed:\n{said}")
    return done.stdout


def listens(address: str) -> bool:
    """Whether an HTTP server answers there, whatever it answers short of an error of its own."""
    try:
        urllib.request.urlopen(address, timeout=3).close()  # noqa: S310 (our own server)
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True
