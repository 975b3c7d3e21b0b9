"""Where the bytes of chips come from: the table that says where each one is, and shards that are local files.

Needs numpy alone. Shards in object storage are read through `croma.batches.cache`.
"""

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from croma.errors import ContractError

Integers = npt.NDArray[np.int64]

OPEN_FILES = 256
"""Shards that are kept open at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ChipTable:
    """Where every chip of a split is; chips of a shard stand together, in the order of their offsets."""

    ids: npt.NDArray[np.bytes_]
    """(chips,). ASCII."""
    shard: Integers
    """(chips,). Number of the chip's shard, ascending."""
    offset: Integers
    """(chips,). Bytes from the start of the shard."""
    crc32: Integers
    """(chips,). Of the chip's `length` bytes."""
    length: int
    """Bytes of a chip, the same for all."""
    shards: tuple[str, ...]
    """By number: the address of the shard."""

    def __len__(self) -> int:
        return len(self.ids)

    def name(self, chip: int) -> str:
        """The id of a chip."""
        return bytes(self.ids[chip]).decode()

    def names(self, chips: Integers) -> tuple[str, ...]:
        """The ids of chips."""
        return tuple(self.ids[chips].astype(str).tolist())


class Source(Protocol):
    """Bytes of chips by number. Safe to use from several threads."""

    def read(self, chip: int, row: memoryview) -> None:
        """Fill `row` with the chip's first bytes, or all.

        Raises:
            ContractError: the shard is missing or too short.
            TransientError: storage failed, also when tried again.
        """
        ...

    def expect(self, chips: Integers) -> bool:
        """Say which chips will be read soon, in the order of need. Returns at once; False: enough for now."""
        ...

    def renew(self, chip: int) -> bool:
        """Throw away a copy of the chip that turned out to be damaged. False where there is no other copy."""
        ...

    def close(self) -> None:
        """Stop what runs in the background."""
        ...


class LocalShards:
    """Shards that are files on this machine: a chip is one `preadv` into the caller's row."""

    def __init__(self, chips: ChipTable) -> None:
        self._chips = chips
        self._files = OpenFiles(lambda shard: os.open(chips.shards[shard], os.O_RDONLY))

    def read(self, chip: int, row: memoryview) -> None:
        """See `Source`."""
        shard = int(self._chips.shard[chip])
        try:
            with self._files.borrow(shard) as file:
                got = os.preadv(file.descriptor, [row], int(self._chips.offset[chip]))
        except FileNotFoundError:
            raise ContractError(f"{self._chips.shards[shard]}: the shard is missing; restore or rebuild it") from None
        check_length(self._chips, chip, got, len(row))

    def expect(self, chips: Integers) -> bool:  # noqa: ARG002
        """Nothing to do: the files are here."""
        return False

    def renew(self, chip: int) -> bool:  # noqa: ARG002
        """There is no other copy."""
        return False

    def close(self) -> None:
        """Close the files."""
        self._files.close()


def check_length(chips: ChipTable, chip: int, got: int, wanted: int) -> None:
    """See that a read was complete.

    Raises:
        ContractError: the shard ends before the chip does.
    """
    if got != wanted:
        raise ContractError(
            f"{chips.shards[int(chips.shard[chip])]}: ends within chip {chips.name(chip)} "
            f"({got} of {wanted} bytes); restore or rebuild the shard"
        )


class OpenFile:
    """A file that somebody may be reading: it is closed when nobody is and it is no longer kept."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._readers = 1
        self._lock = threading.Lock()

    def __enter__(self) -> "OpenFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def hold(self) -> None:
        """One reader more."""
        with self._lock:
            self._readers += 1

    def release(self) -> None:
        """One reader less."""
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                os.close(self.descriptor)


class Opens(Protocol):
    """Opens the file of a shard."""

    def __call__(self, shard: int, /) -> int:
        """A file descriptor."""
        ...


class OpenFiles:
    """The least recently used shards are closed first."""

    def __init__(self, opens: Opens, keep: int = OPEN_FILES) -> None:
        self._opens = opens
        self._keep = keep
        self._files: OrderedDict[int, OpenFile] = OrderedDict()
        self._lock = threading.Lock()

    def borrow(self, shard: int) -> OpenFile:
        """The open file of a shard; leaving the `with` block gives it back."""
        with self._lock:
            file = self._files.get(shard)
            if file is None:
                file = self._files[shard] = OpenFile(self._opens(shard))
                if len(self._files) > self._keep:
                    self._files.popitem(last=False)[1].release()
            else:
                self._files.move_to_end(shard)
            file.hold()
            return file

    def drop(self, shard: int) -> None:
        """Forget a shard's file, so that it is opened anew."""
        with self._lock:
            file = self._files.pop(shard, None)
        if file is not None:
            file.release()

    def close(self) -> None:
        """Forget all."""
        with self._lock:
            files, self._files = list(self._files.values()), OrderedDict()
        for file in files:
            file.release()
