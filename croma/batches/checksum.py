"""The checksum of a chip: CRC-32 as zlib has it, twenty times as fast where zlib-ng is installed."""

from collections.abc import Callable

import numpy as np

from croma.batches.source import ChipTable
from croma.errors import ContractError

try:
    from zlib_ng.zlib_ng import crc32
except ImportError:
    from zlib import crc32


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
