"""What fills batch buffers with the bytes of chips."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from croma.batches.source import Integers
from croma.batches.spec import Reading


class Filling(NamedTuple):
    """A batch that is to be filled."""

    chips: Integers
    """By row, the number of the chip."""
    rows: Sequence[memoryview]
    """Where the bytes of each chip go; at least as many as there are chips."""


class Ring(NamedTuple):
    """How many batch buffers a filler wants to have."""

    depth: int
    """At least 2: one is in use."""
    together: int
    """Batches that are begun at once, at most."""


class Filler(Protocol):
    """Fills batches in the background."""

    @property
    def reading(self) -> Reading:
        """How."""
        ...

    def ring(self, window: int, nbytes: int) -> Ring:
        """What it wants where a shuffle window takes `window` batches of `nbytes` bytes."""
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
