"""A run as people see it while they wait: a bar on a terminal, a line now and then in a log."""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from croma.training.reporting import Line

log = logging.getLogger(__name__)

POLL = 0.5
"""Seconds between two looks."""
LOG_EVERY = 20
"""Looks between two lines of a log."""


@contextmanager
def follow(name: str, read: Callable[[], str | None]) -> Iterator[None]:
    """Show what `read` returns, a `Line` as JSON or None, until the block ends."""
    over = threading.Event()
    show = _draw if sys.stderr.isatty() else _write
    # With the context of the caller, in which logs know what they are about.
    thread = threading.Thread(target=copy_context().run, args=(show, name, read, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _draw(name: str, read: Callable[[], str | None], over: threading.Event) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=None, facts="starting workers")
        while True:
            last = over.wait(POLL)
            line = _parse(read())
            if line is not None:
                facts = f"loss {line.loss:.4f}  {line.samples_per_second:,.1f} samples/s"
                progress.update(task, total=line.steps, completed=line.step, facts=facts)
            if last:
                return


def _write(name: str, read: Callable[[], str | None], over: threading.Event) -> None:
    written: Line | None = None
    looks = 0
    while True:
        last = over.wait(POLL)
        line = _parse(read())
        if line is not None and line != written and (last or written is None or looks % LOG_EVERY == 0):
            log.info("%s: %s", name, line)
            written = line
        looks += 1
        if last:
            return


def _parse(text: str | None) -> Line | None:
    return None if text is None else Line(*json.loads(text))
