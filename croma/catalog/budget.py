"""A budget of requests for each host, kept by all threads and processes of a machine together.

Providers ban who asks too much: several workers that each behave are still too much together. A request takes the next
free moment of its host; where a host asks for a pause, all wait for it.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from croma.catalog.machine import shared_file

LONGEST = 3600.0
"""Seconds: what another process booked further ahead is a clock that was set back."""


class Budget:
    """At most `rate` requests per second to each host.

    Args:
        rate: requests per second; infinite for a host that needs no care, as one on loopback.
        folder: shared by the processes of a machine; None shares with nobody.
        clock: seconds, the same for all processes.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        rate: float,
        folder: Path | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self.folder = folder
        self._clock = clock
        self._sleep = sleep
        self._free: dict[str, float] = {}
        self._lock = threading.Lock()

    def wait(self, host: str) -> None:
        """Wait for the next free moment of `host` and take it."""
        moment = self._book(host, 0.0, 1 / self.rate)
        self._sleep(max(0.0, moment - self._clock()))

    def pause(self, host: str, seconds: float) -> None:
        """`host` wants no request for so long, from anybody."""
        self._book(host, seconds, 0.0)

    def _book(self, host: str, delay: float, length: float) -> float:
        """Move the next free moment of `host` behind one that starts `delay` from now and lasts `length`; its start."""
        with self._lock:
            if self.folder is None:
                start = max(self._clock() + delay, self._free.get(host, 0.0))
                self._free[host] = start + length
                return start
            with shared_file(self.folder, f"budget {host}") as path:
                start = max(self._clock() + delay, min(_number(path.read_text()), self._clock() + LONGEST))
                path.write_text(repr(start + length))
                return start


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
