"""A cache on local disk of shards that are in object storage: fetched in blocks, written through, bounded.

A block is a run of neighbouring chips (`Order.runs`), about two megabytes. Each cached shard is one sparse file: the
bytes of the shard at their own offsets, then one byte for every block that says whether it is there. That byte is set
after the block's bytes are written and survives the process, so what was once fetched is not fetched again, not even
after a crash. Processes of one machine share the files; a lock on the block's byte keeps two of them from fetching
the same block.

What a cached chip holds is checked by the loader against the index at its first use in a process; `renew` fetches it
anew. Needs numpy alone: the function that reads remote bytes is given.
"""

import contextlib
import fcntl
import hashlib
import mmap
import os
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from croma.batches.requests import PAUSE, REQUESTS, fetch, make_pool
from croma.batches.source import ChipTable, Integers, OpenFile, OpenFiles, check_length
from croma.errors import InputError

ReadPieces = Callable[[str, int, int], Generator[memoryview, None, None]]
"""Bytes of a remote file, (address, offset, length), in pieces that hold until the next is asked for."""

QUEUED = 8 * REQUESTS
"""Blocks that are asked for at once: enough to keep requests in flight while the first batch of a window waits for what
may be half of the window's blocks."""
_EVICT_EVERY = 16
"""Fetched blocks between two looks at the size of the cache."""


class CachedShards:
    """Remote shards read through the cache. A `Source`."""

    def __init__(
        self,
        chips: ChipTable,
        runs: Integers,
        read_pieces: ReadPieces,
        folder: Path,
        capacity: int,
        pause: float = PAUSE,
    ) -> None:
        """Chips whose blocks are `runs`, fetched by `read_pieces`, kept in `folder`.

        The files there take at most `capacity` bytes on disk; a failed request is tried again after `pause` seconds.
        """
        self._chips = chips
        self._runs = runs
        self._read_pieces = read_pieces
        self._folder = folder
        self._capacity = capacity
        self._pause = pause
        self._shard = chips.shard[runs[:-1]]
        self._start = chips.offset[runs[:-1]]
        self._stop = chips.offset[runs[1:] - 1] + chips.length
        self._first = np.searchsorted(self._shard, np.arange(len(chips.shards) + 1))
        folder.mkdir(parents=True, exist_ok=True)
        self._files = OpenFiles(self._open)
        self._pool = make_pool()
        self._pending: dict[int, Future[None]] = {}
        self._seen = np.zeros(len(runs) - 1, np.bool_)  # blocks that need not be asked for; a hint, `read` looks
        self._lock = threading.Lock()
        self._fetched = 0

    def read(self, chip: int, row: memoryview) -> None:
        """See `Source`. Waits for the chip's block."""
        block = self._block(chip)
        while True:
            with self._files.borrow(int(self._shard[block])) as file:
                if self._has(file, block):
                    got = os.preadv(file.descriptor, [row], int(self._chips.offset[chip]))
                    break
            self._request(block).result()
        check_length(self._chips, chip, got, len(row))

    def expect(self, chips: Integers) -> bool:
        """Begin to fetch the blocks of `chips` that are not here, in that order. False: enough are under way."""
        blocks = np.searchsorted(self._runs, chips, "right") - 1
        blocks = blocks[np.sort(np.unique(blocks, return_index=True)[1])]
        absent = []
        for block in blocks[~self._seen[blocks]].tolist():
            with self._files.borrow(int(self._shard[block])) as file:
                if not self._has(file, block):
                    absent.append(block)
                self._seen[block] = True
        for block in absent:  # only now: whoever fetches takes processor time from the rest of this
            self._request(block)
        return len(self._pending) < QUEUED

    def renew(self, chip: int) -> bool:
        """Mark the chip's block as absent; the next read fetches it."""
        block = self._block(chip)
        with self._files.borrow(int(self._shard[block])) as file:
            os.pwrite(file.descriptor, b"\0", self._mark(block))
        self._seen[block] = False
        return True

    def close(self) -> None:
        """Give up what is not yet fetched."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._files.close()

    def _block(self, chip: int) -> int:
        return int(np.searchsorted(self._runs, chip, "right")) - 1

    def _request(self, block: int) -> "Future[None]":
        """The fetch of a block that is under way, or a new one."""
        with self._lock:
            if block not in self._pending:
                self._pending[block] = self._pool.submit(self._fetch, block)
            return self._pending[block]

    def _fetch(self, block: int) -> None:
        shard = int(self._shard[block])
        try:
            with self._files.borrow(shard) as file:
                if os.fstat(file.descriptor).st_nlink == 0:  # evicted by another process
                    self._files.drop(shard)
            with self._files.borrow(shard) as file, _locked(file, self._mark(block)):
                if not self._has(file, block):
                    self._download(file, block)
                    os.pwrite(file.descriptor, b"\1", self._mark(block))
        except OSError as error:
            raise InputError(
                f"cache {self._folder}: cannot be written ({error.strerror}); free space there or lower its size"
            ) from error
        finally:
            with self._lock:
                self._pending.pop(block, None)
                self._fetched += 1
                look = self._fetched % _EVICT_EVERY == 0
        if look:
            evict(self._folder, self._capacity)

    def _download(self, file: OpenFile, block: int) -> None:
        """Write the bytes of a block down as they arrive; what breaks off begins anew."""
        address = self._chips.shards[int(self._shard[block])]
        start, stop = int(self._start[block]), int(self._stop[block])

        def once() -> int:
            position = start
            with contextlib.closing(self._read_pieces(address, start, stop - start)) as pieces:
                for piece in pieces:
                    _write_all(file.descriptor, piece, position)
                    position += len(piece)
            return position - start

        fetch(address, start, stop - start, once, self._pause)

    def _open(self, shard: int) -> int:
        """Open, and if need be make, the cache file of a shard."""
        name = hashlib.sha256(self._chips.shards[shard].encode()).hexdigest()[:32]
        descriptor = os.open(self._folder / f"{name}.shard", os.O_RDWR | os.O_CREAT, 0o644)
        last = int(self._first[shard + 1])
        wanted = self._mark(last - 1) + 1
        if os.fstat(descriptor).st_size != wanted:  # new, or cut into other blocks
            os.ftruncate(descriptor, 0)
            os.ftruncate(descriptor, wanted)
        os.utime(descriptor)
        self._seen[int(self._first[shard]) : last] = False
        return descriptor

    def _mark(self, block: int) -> int:
        """Where in the cache file the byte of a block is: after the shard's own bytes, on a page of its own."""
        shard = int(self._shard[block])
        end = int(self._stop[int(self._first[shard + 1]) - 1])
        page = mmap.ALLOCATIONGRANULARITY
        return -(-end // page) * page + block - int(self._first[shard])

    def _has(self, file: OpenFile, block: int) -> bool:
        return os.pread(file.descriptor, 1, self._mark(block)) == b"\1"


def evict(folder: Path, capacity: int) -> list[str]:
    """Remove the shards that were opened longest ago until at most nine tenths of `capacity` bytes are on disk.

    Processes that have a removed file open read on; its space is free when they close it.
    """
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # somebody else is at it
            return []
        files = []
        for path in folder.glob("*.shard"):
            with contextlib.suppress(FileNotFoundError):
                files.append((path.stat(), path))
        total = sum(stat.st_blocks * 512 for stat, _ in files)
        if total <= capacity:
            return []
        removed = []
        for stat, path in sorted(files, key=lambda file: file[0].st_mtime_ns):
            if total <= 0.9 * capacity:
                break
            path.unlink(missing_ok=True)
            total -= stat.st_blocks * 512
            removed.append(path.name)
        return removed


@contextlib.contextmanager
def _locked(file: OpenFile, position: int) -> Iterator[None]:
    """Hold one byte of a file against other processes; the lock dies with the process."""
    fcntl.lockf(file.descriptor, fcntl.LOCK_EX, 1, position)
    try:
        yield
    finally:
        fcntl.lockf(file.descriptor, fcntl.LOCK_UN, 1, position)


def _write_all(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
