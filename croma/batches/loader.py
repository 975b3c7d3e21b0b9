"""Batches from shards: threads fill a ring of batch buffers with bytes straight from the tar.

The bytes of a chip are a row of a buffer, tar and npy headers and all; a batch's planes are views of it. Nothing is
decoded, copied or handed between processes; pixels leave here as they are stored. What a batch holds is the business
of `Order`, how it is filled that of a `Filler`, so the loader keeps no state but the step, and begins at any step at
once.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from croma.batches.batch import RawBatch
from croma.batches.filler import Filler, Filling
from croma.batches.order import Draw, Order
from croma.batches.source import ChipTable
from croma.distributed import share
from croma.sensors import SENTINEL_2_L2A
from croma.shards.layout import BLOCK, Plane

LOOK = 16
"""Steps that are looked ahead, at most, when a batch is begun: few, so that the first batch is not kept waiting, yet so
many that requests stay in flight while a window's first batch is waited for."""

OPTICAL = {resolution: f"s2_{resolution}m" for resolution in SENTINEL_2_L2A.resolutions}
"""Optical planes by resolution."""

IMAGES = {"s1": torch.float16} | dict.fromkeys(OPTICAL.values(), torch.uint16)
"""Planes that a batch holds."""


class Slot(NamedTuple):
    """One batch buffer of the ring."""

    stored: Tensor
    """uint8 (rows, bytes)."""
    rows: list[memoryview]
    """The same, by row."""
    planes: dict[str, Tensor]
    """The same, by name: (rows, *shape)."""


class Loader:
    """The batches of one rank, from any step on. Iterate over it once; `close` it, or use it in a `with` block.

    A batch's tensors are views of a buffer: they hold until the next batch is asked for.
    """

    def __init__(
        self,
        order: Order,
        chips: ChipTable,
        planes: Sequence[Plane],
        filler: Filler,
        *,
        rank: int = 0,
        world: int = 1,
        pin: bool = False,
    ) -> None:
        """Batches of rank `rank` of `world`; with `pin` in page-locked buffers, for asynchronous copies to a GPU."""
        self._order = order
        self._chips = chips
        self._filler = filler
        self._rank, self._world = rank, world
        window = order.window or order.chips
        self._ahead = filler.reading.ahead or -(-5 * window // (4 * order.global_batch))
        rows = max(_length(share(order.global_batch, r, world)) for r in (0, world - 1, rank))
        ring = filler.ring(-(-window // order.global_batch) + 1, rows * chips.length)
        whole = chips.length if filler.reading.verify else 0
        self._slots = [make_slot(planes, rows, whole, pin) for _ in range(ring.depth)]
        self._most = ring.together

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def batches(self, start: int, stop: int) -> Iterator[RawBatch]:
        """Steps `start` to `stop` - 1. May be called again once an earlier iteration is over or given up."""
        ready: deque[tuple[Slot, Draw, list[Future[None]]]] = deque()
        free = deque(self._slots)
        expected = step = start
        try:
            while ready or step < stop:
                while (count := self._together(step, stop)) and len(free) >= count:
                    expected = self._expect(max(expected, step), step, stop)
                    ready.extend(self._begin([free.popleft() for _ in range(count)], step))
                    step += count
                slot, draw, pieces = ready[0]
                for piece in pieces:
                    piece.result()
                ready.popleft()
                yield self._batch(slot, draw)
                free.append(slot)
        finally:
            wait([piece for _, _, pieces in ready for piece in pieces if not piece.cancel()])

    def close(self) -> None:
        """Stop what fills batches."""
        self._filler.close()

    def _together(self, step: int, stop: int) -> int:
        """Steps that are begun at once: no more than the rest of a window, whose neighbours are fetched together."""
        return min(self._order.window_stop(step) - step, self._most, stop - step)

    def _expect(self, expected: int, step: int, stop: int) -> int:
        """Tell the filler what `step` needs and, as long as it has room for more, what comes after.

        `expected` is the first step that it was not told; returns what that is now.
        """
        until = min(step + self._ahead, expected + LOOK, stop)
        wants = True
        while expected < until and (wants or expected <= step):
            wants = self._filler.expect(self._order.slice(expected, self._rank, self._world).chips)
            expected += 1
        return expected

    def _begin(self, slots: Sequence[Slot], step: int) -> list[tuple[Slot, Draw, list["Future[None]"]]]:
        draws = [self._order.slice(step + i, self._rank, self._world) for i in range(len(slots))]
        batches = [Filling(draw.chips, slot.rows) for slot, draw in zip(slots, draws, strict=True)]
        return list(zip(slots, draws, self._filler.fill(batches), strict=True))

    def _batch(self, slot: Slot, draw: Draw) -> RawBatch:
        count = len(draw.chips)
        return RawBatch(
            radar=slot.planes["s1"][:count],
            optical={r: slot.planes[name][:count] for r, name in OPTICAL.items() if name in slot.planes},
            keys=torch.from_numpy(draw.keys),
            ids=self._chips.names(draw.chips),
            stored=slot.stored[:count],
        )


def make_slot(planes: Sequence[Plane], rows: int, whole: int, pin: bool) -> Slot:
    """A buffer for `rows` chips, of each of which `whole` bytes are read; 0 stops after the last image plane."""
    images = [plane for plane in planes if plane.name in IMAGES]
    length = whole or max(-(-(plane.offset + plane.nbytes) // BLOCK) * BLOCK for plane in images)
    # numpy asks the kernel for huge pages.
    stored = (
        torch.empty((rows, length), dtype=torch.uint8, pin_memory=True)
        if pin
        else torch.from_numpy(np.empty((rows, length), np.uint8))
    )
    flat = stored.view(-1).numpy().data
    views = {
        plane.name: stored[:, plane.offset : plane.offset + plane.nbytes]
        .view(IMAGES[plane.name])
        .view(rows, *plane.shape)
        for plane in images
    }
    return Slot(stored, [flat[start : start + length] for start in range(0, len(flat), length)], views)


def _length(part: slice) -> int:
    return int(part.stop) - int(part.start)
