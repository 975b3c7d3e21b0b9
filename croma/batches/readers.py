"""Batches filled by a few threads that read one chip after the other: from local files, or from the cache."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from croma.batches.checksum import Checks
from croma.batches.filler import Filling, Ring
from croma.batches.source import ChipTable, Integers, Source
from croma.batches.spec import Reading

PIECE = 16
"""Chips that a thread takes at a time."""


class Readers:
    """Threads over a `Source`. A `Filler`."""

    def __init__(self, chips: ChipTable, source: Source, reading: Reading | None = None) -> None:
        self.reading = reading or Reading()
        self._source = source
        self._checks = Checks(chips) if self.reading.verify else None
        self._pool = ThreadPoolExecutor(self.reading.threads, thread_name_prefix="reader")
        self._closed = threading.Event()

    def ring(self, window: int, nbytes: int) -> Ring:  # noqa: ARG002
        """One in use, the others full or being filled."""
        return Ring(self.reading.depth, together=1)

    def expect(self, chips: Integers) -> bool:
        """See `Source`."""
        return self._source.expect(chips)

    def fill(self, batches: Sequence[Filling]) -> list[list["Future[None]"]]:
        """See `Filler`."""
        return [
            [self._pool.submit(self._read, batch, first) for first in range(0, len(batch.chips), PIECE)]
            for batch in batches
        ]

    def close(self) -> None:
        """Stop the threads and let go of the source."""
        self._closed.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._source.close()

    def _read(self, batch: Filling, first: int) -> None:
        for row in range(first, min(first + PIECE, len(batch.chips))):
            if self._closed.is_set():
                return
            chip, pixels = int(batch.chips[row]), batch.rows[row]
            self._source.read(chip, pixels)
            if self._checks is not None:
                self._checks.check(chip, pixels, partial(self._renew, chip, pixels))

    def _renew(self, chip: int, row: memoryview) -> bool:
        if not self._source.renew(chip):
            return False
        self._source.read(chip, row)
        return True
