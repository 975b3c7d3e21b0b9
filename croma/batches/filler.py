"""What fills batch buffers with the bytes of chips, and the comparison of those bytes with the index."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

import numpy as np

from croma.batches.checksum import crc32
from croma.batches.source import ChipTable, Integers
from croma.batches.spec import Reading
from croma.errors import ContractError


class Filling(NamedTuple):
    """A batch that is to be filled."""

    chips: Integers
    """By row, the number of the chip."""
    rows: Sequence[memoryview]
    """Where the bytes of each chip go; at least as many as there are chips."""


class Filler(Protocol):
    """Fills batches in the background."""

    @property
    def reading(self) -> Reading:
        """How."""
        ...

    def depth(self, window: int, nbytes: int) -> int:
        """Batches that the ring should hold, at least 2, where a window takes `window` of them, of `nbytes` bytes."""
        ...

    def expect(self, chips: Integers) -> bool:
        """Say which chips will be wanted soon, in the order of need. Returns at once; False: enough for now."""
        ...

    def fill(self, batches: Sequence[Filling]) -> list[list["Future[None]"]]:
        """Begin to fill batches, in the order of need. A batch is full when all that is returned for it is done.

        Raises, from what is returned:
            ContractError: a shard is missing or too short, or a chip is damaged.
            TransientError: storage failed, also when tried again.
        """
        ...

    def close(self) -> None:
        """Give up what is not yet full."""
        ...


class Checks:
    """Compares chips with their checksums in the index, each at its first use in this process."""

    def __init__(self, chips: ChipTable) -> None:
        self._chips = chips
        self._verified = np.zeros(len(chips), np.bool_)

    def check(self, chip: int, row: memoryview, again: Callable[[], bool]) -> None:
        """Compare the bytes of a chip; `again` fetches a damaged one anew, once. False there: there is no other copy.

        Raises:
            ContractError: the chip is damaged.
        """
        if self._verified[chip]:
            return
        wanted = self._chips.crc32[chip]
        if crc32(row) != wanted and not (again() and crc32(row) == wanted):
            address = self._chips.shards[int(self._chips.shard[chip])]
            raise ContractError(
                f"{address}: chip {self._chips.name(chip)} is damaged (checksum differs); restore or rebuild the shard"
            )
        self._verified[chip] = True
