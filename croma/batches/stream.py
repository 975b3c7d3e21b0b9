"""Batches filled straight from object storage, for chips that no disk here keeps.

A request's bytes go into the rows of the batches that want them, over plain HTTP straight from the socket: nothing is
kept. Chips that lie side by side in a shard and are wanted by batches that are begun together share a request, so a
shuffle window that fits into the memory given takes about as many requests as it has runs. Each worker asks for its own
chips; what lies between two of them it reads too, and drops, where that is little (`GAP`).
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from croma.batches.checksum import Checks
from croma.batches.filler import Filling, Ring
from croma.batches.requests import PAUSE, chips_of_a_request, fetch, make_pool
from croma.batches.source import ChipTable, Integers
from croma.batches.spec import Reading
from croma.buffers import Buffers

ReadInto = Callable[[str, int, Buffers], int]
"""Fills buffers with bytes of a remote file from an offset on; returns how many, fewer at the end of the file."""

GAP = 256 * 1024
"""Bytes between two chips that are rather read and dropped than left out by another request."""


class Wanted(NamedTuple):
    """A chip, where it is in its shard, and where it goes."""

    chip: int
    offset: int
    row: memoryview


class Stream:
    """Requests whose bytes land in batches. A `Filler`."""

    def __init__(
        self, chips: ChipTable, read_into: ReadInto, reading: Reading | None = None, pause: float = PAUSE
    ) -> None:
        """Chips fetched by `read_into`; a failed request is tried again after `pause` seconds."""
        self.reading = reading or Reading()
        self._chips = chips
        self._read_into = read_into
        self._pause = pause
        self._checks = Checks(chips) if self.reading.verify else None
        self._here = threading.local()
        self._pool = make_pool()

    def ring(self, window: int, nbytes: int) -> Ring:
        """Two windows, one in use while the next arrives, or as much of them as the memory given holds."""
        depth = max(self.reading.depth, min(2 * window, int(self.reading.memory_gb * 1e9) // nbytes))
        return Ring(depth, together=depth // 2)

    def expect(self, chips: Integers) -> bool:  # noqa: ARG002
        """Nothing to do: what is wanted early is begun early."""
        return False

    def fill(self, batches: Sequence[Filling]) -> list[list["Future[None]"]]:
        """See `Filler`."""
        step = [number for number, batch in enumerate(batches) for _ in batch.chips]
        rows = [row for batch in batches for row in batch.rows[: len(batch.chips)]]
        numbers = np.concatenate([batch.chips for batch in batches])
        chips, offsets = numbers.tolist(), self._chips.offset[numbers].tolist()
        parts: list[list[Future[None]]] = [[] for _ in batches]
        for places in sorted(self._requests(numbers), key=lambda places: min(step[place] for place in places)):
            wanted = [Wanted(chips[place], offsets[place], rows[place]) for place in places]
            future = self._pool.submit(self._fetch, wanted)
            for number in {step[place] for place in places}:
                parts[number].append(future)
        return parts

    def close(self) -> None:
        """Give up what has not arrived."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _requests(self, chips: Integers) -> Iterator[list[int]]:
        """Positions in `chips` that share a request, each in file order."""
        ranked = np.argsort(chips, kind="stable")
        shard, start = self._chips.shard[chips[ranked]], self._chips.offset[chips[ranked]]
        hole = np.diff(start) - self._chips.length
        # A chip that is wanted twice (a batch over the end of an epoch) has a negative hole before it.
        apart = np.flatnonzero((np.diff(shard) != 0) | (hole > GAP) | (hole < 0)) + 1
        places, most = ranked.tolist(), chips_of_a_request(self._chips.length)
        for first, stop in pairwise([0, *apart.tolist(), len(places)]):
            for begin in range(first, stop, most):
                yield places[begin : min(begin + most, stop)]

    def _fetch(self, wanted: Sequence[Wanted]) -> None:
        self._receive(wanted[0], self._between(wanted))
        if self._checks is not None:
            for one in wanted:
                self._checks.check(one.chip, one.row, partial(self._receive, one, [one.row]))

    def _receive(self, first: Wanted, buffers: Buffers) -> bool:
        """Fill buffers with what begins at chip `first`."""
        address = self._chips.shards[int(self._chips.shard[first.chip])]
        once = partial(self._read_into, address, first.offset, buffers)
        fetch(address, first.offset, sum(map(len, buffers)), once, self._pause)
        return True

    def _between(self, wanted: Sequence[Wanted]) -> list[memoryview]:
        """The rows of chips in file order, and between them a scratch area for what is dropped."""
        scratch = self._scratch()
        buffers: list[memoryview] = []
        position = wanted[0].offset
        for _, start, row in wanted:
            if start > position:
                buffers.append(scratch[: start - position])
            buffers.append(row)
            position = start + len(row)
        return buffers

    def _scratch(self) -> memoryview:
        """Of a thread."""
        if not hasattr(self._here, "scratch"):
            self._here.scratch = memoryview(bytearray(GAP + self._chips.length))
        scratch: memoryview = self._here.scratch
        return scratch
