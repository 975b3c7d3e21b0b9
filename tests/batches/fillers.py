"""Ways to fill batches from the shards of a test, and a store that is remote to them."""

import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from croma.batches.cache import CachedShards
from croma.batches.filler import Filler
from croma.batches.kept import PartlyKept
from croma.batches.readers import Readers
from croma.batches.source import LocalShards
from croma.batches.spec import Reading
from croma.batches.stream import Stream
from croma.buffers import Buffers, put
from croma.errors import TransientError

PAUSE = 0.001


class Remote:
    """A store that is remote: it counts, waits, fails and lies as told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int, int]] = []
        self.failures = 0
        self.damage: set[int] = set()
        self.busy = self.most = 0
        self._lock = threading.Lock()

    def pieces(self, address: str, offset: int, length: int) -> Generator[memoryview, None, None]:
        data = self._answer(address, offset, length)
        for start in range(0, len(data), 1000):
            yield memoryview(data)[start : start + 1000]

    def into(self, address: str, offset: int, buffers: Buffers) -> int:
        data = self._answer(address, offset, sum(map(len, buffers)))
        put(memoryview(data), buffers, 0)
        return len(data)

    def _answer(self, address: str, offset: int, length: int) -> bytearray:
        with self._lock:
            self.requests.append((address, offset, length))
            number = len(self.requests)
            self.busy += 1
            self.most = max(self.most, self.busy)
        time.sleep(0.002)
        with self._lock:
            self.busy -= 1
            if self.failures:
                self.failures -= 1
                raise TransientError("503")
        data = bytearray(Path(address).read_bytes()[offset : offset + length])
        if number in self.damage:
            data[1500] ^= 1
        return data


def local(stored: Any, reading: Reading | None = None) -> Filler:
    return Readers(stored.table, LocalShards(stored.table), reading)


def cached(
    stored: Any, folder: Path, remote: Remote, reading: Reading | None = None, runs: Any = None, pause: float = PAUSE
) -> Filler:
    """Through a cache in `folder`, in runs of three chips."""
    shards = CachedShards(
        stored.table, stored.order(1).runs if runs is None else runs, remote.pieces, folder, 10**9, pause
    )
    return Readers(stored.table, shards, reading)


def streamed(stored: Any, _: Path, remote: Remote, reading: Reading | None = None) -> Filler:
    return Stream(stored.table, remote.into, reading, PAUSE)


def partly_kept(stored: Any, folder: Path, remote: Remote, reading: Reading | None = None) -> Filler:
    """The first of three shards through a cache, the others streamed."""
    kept = cached(stored, folder, remote, reading)
    return PartlyKept(stored.table, 1, kept, streamed(stored, folder, remote, reading))


REMOTE: list[Callable[..., Filler]] = [cached, streamed, partly_kept]
"""All that read from a remote store: `way(stored, folder, remote, reading)`."""
