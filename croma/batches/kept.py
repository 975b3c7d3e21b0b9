"""Batches of a dataset that is larger than the cache: shards that fit are kept on disk, the others streamed.

Which of a version are kept never changes, since an epoch visits every chip: a cache that made room for what was read
last would have thrown away a shard just before it is read again.
"""

from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import numpy.typing as npt

from croma.batches.filler import Filler, Filling, Ring
from croma.batches.source import ChipTable, Integers


class PartlyKept:
    """One filler for chips of the first shards, another for the rest. A `Filler`."""

    def __init__(self, chips: ChipTable, kept: int, cached: Filler, streamed: Filler) -> None:
        """Chips of the first `kept` shards are filled by `cached`; both read alike."""
        self.reading = streamed.reading
        self._kept = chips.shard < kept
        self._cached = cached
        self._streamed = streamed

    def ring(self, window: int, nbytes: int) -> Ring:
        """What streams needs the longer one."""
        return self._streamed.ring(window, nbytes)

    def expect(self, chips: Integers) -> bool:
        """See `Filler`."""
        return self._cached.expect(chips[self._kept[chips]])

    def fill(self, batches: Sequence[Filling]) -> list[list["Future[None]"]]:
        """See `Filler`."""
        streamed = self._streamed.fill([_part(batch, ~self._kept[batch.chips]) for batch in batches])
        cached = self._cached.fill([_part(batch, self._kept[batch.chips]) for batch in batches])
        return [[*a, *b] for a, b in zip(streamed, cached, strict=True)]

    def close(self) -> None:
        """Close both."""
        self._streamed.close()
        self._cached.close()


def shards_that_fit(chips: ChipTable, capacity: int) -> int:
    """How many of the first shards take at most nine tenths of `capacity` bytes, as much as an eviction leaves.

    All of them where all take no more than `capacity`.
    """
    ends = np.zeros(len(chips.shards), np.int64)
    np.maximum.at(ends, chips.shard, chips.offset + chips.length)
    taken = np.cumsum(ends)
    return len(ends) if taken[-1] <= capacity else int(np.searchsorted(taken, 0.9 * capacity, "right"))


def _part(batch: Filling, mask: npt.NDArray[np.bool_]) -> Filling:
    return Filling(batch.chips[mask], [batch.rows[row] for row in np.flatnonzero(mask).tolist()])
