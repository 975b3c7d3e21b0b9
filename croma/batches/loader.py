"""Batches from shards: a few threads fill a ring of batch buffers with bytes straight from the tar.

A chip costs one `preadv` into the rows of the batch that are its planes; the tar and npy headers between them go to a
scratch area. Nothing is decoded, copied or handed between processes; pixels leave here as they are stored. What a
batch holds is the business of `Order`, so the loader keeps no state but the step, and begins at any step at once.
"""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from croma.batches.batch import RawBatch
from croma.batches.checksum import crc32_of
from croma.batches.order import Draw, Order
from croma.batches.source import ChipTable, Source
from croma.batches.spec import Reading
from croma.distributed import share
from croma.errors import ContractError
from croma.sensors import SENTINEL_2_L2A
from croma.shards.layout import Plane

PIECE = 16
"""Chips that a reader thread takes at a time."""
LOOK = 16
"""Steps that are looked ahead, at most, when a batch is begun: few, so that the first batch is not kept waiting, yet so
many that requests stay in flight while a window's first batch is waited for."""

OPTICAL = {resolution: f"s2_{resolution}m" for resolution in SENTINEL_2_L2A.resolutions}
"""Optical planes by resolution."""

IMAGES = {"s1": torch.float16} | dict.fromkeys(OPTICAL.values(), torch.uint16)
"""Planes that a batch holds."""


class Slot(NamedTuple):
    """One batch buffer of the ring."""

    planes: dict[str, Tensor]
    """By name, (rows, *shape)."""
    rows: list[list[memoryview]]
    """By row, where the bytes of a chip go, in file order."""


class Loader:
    """The batches of one rank, from any step on. Iterate over it once; `close` it, or use it in a `with` block.

    A batch's tensors are views of a buffer: they hold until the next batch is asked for.
    """

    def __init__(
        self,
        order: Order,
        chips: ChipTable,
        planes: Sequence[Plane],
        source: Source,
        *,
        rank: int = 0,
        world: int = 1,
        reading: Reading | None = None,
        pin: bool = False,
    ) -> None:
        """Batches of rank `rank` of `world`; with `pin` in page-locked buffers, for asynchronous copies to a GPU."""
        self._order = order
        self._chips = chips
        self._source = source
        self._rank, self._world = rank, world
        self._reading = reading or Reading()
        self._ahead = self._reading.ahead or -(-5 * (order.window or order.chips) // (4 * order.global_batch))
        self._verified = np.zeros(len(chips), np.bool_)
        rows = max(_length(share(order.global_batch, r, world)) for r in (0, world - 1, rank))
        whole = chips.length if self._reading.verify else 0
        self._slots = [make_slot(planes, rows, whole, pin) for _ in range(self._reading.depth)]
        self._pool = ThreadPoolExecutor(self._reading.threads, thread_name_prefix="reader")
        self._closed = threading.Event()

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
                while free and step < stop:
                    expected = self._expect(max(expected, step), step, stop)
                    ready.append(self._begin(free.popleft(), step))
                    step += 1
                slot, draw, pieces = ready.popleft()
                for piece in pieces:
                    piece.result()
                yield self._batch(slot, draw)
                free.append(slot)
        finally:
            wait([piece for _, _, pieces in ready for piece in pieces if not piece.cancel()])

    def close(self) -> None:
        """Stop the threads and let go of the source."""
        self._closed.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._source.close()

    def _expect(self, expected: int, step: int, stop: int) -> int:
        """Tell the source what `step` needs and, as long as it has room for more, what comes after.

        `expected` is the first step that it was not told; returns what that is now.
        """
        until = min(step + self._ahead, expected + LOOK, stop)
        wants = True
        while expected < until and (wants or expected <= step):
            wants = self._source.expect(self._order.slice(expected, self._rank, self._world).chips)
            expected += 1
        return expected

    def _begin(self, slot: Slot, step: int) -> tuple[Slot, Draw, list["Future[None]"]]:
        draw = self._order.slice(step, self._rank, self._world)
        cuts = range(0, len(draw.chips), PIECE)
        return slot, draw, [self._pool.submit(self._fill, slot, draw, cut) for cut in cuts]

    def _fill(self, slot: Slot, draw: Draw, first: int) -> None:
        for row in range(first, min(first + PIECE, len(draw.chips))):
            if self._closed.is_set():
                return
            chip = int(draw.chips[row])
            self._source.read(chip, slot.rows[row])
            if self._reading.verify and not self._verified[chip]:
                self._check(chip, slot.rows[row])
                self._verified[chip] = True

    def _check(self, chip: int, buffers: list[memoryview]) -> None:
        """Compare the bytes with the index; a damaged copy is fetched anew once."""
        if crc32_of(buffers) == self._chips.crc32[chip]:
            return
        if self._source.renew(chip):
            self._source.read(chip, buffers)
            if crc32_of(buffers) == self._chips.crc32[chip]:
                return
        address = self._chips.shards[int(self._chips.shard[chip])]
        raise ContractError(
            f"{address}: chip {self._chips.name(chip)} is damaged (checksum differs); restore or rebuild the shard"
        )

    def _batch(self, slot: Slot, draw: Draw) -> RawBatch:
        count = len(draw.chips)
        return RawBatch(
            radar=slot.planes["s1"][:count],
            optical={r: slot.planes[name][:count] for r, name in OPTICAL.items() if name in slot.planes},
            keys=torch.from_numpy(draw.keys),
            ids=tuple(self._chips.name(int(chip)) for chip in draw.chips),
        )


def make_slot(planes: Sequence[Plane], rows: int, whole: int, pin: bool) -> Slot:
    """A buffer for `rows` chips, of each of which `whole` bytes are read; 0 stops after the last image plane."""
    wanted = [plane for plane in planes if plane.name in IMAGES]
    tensors = {p.name: torch.empty((rows, *p.shape), dtype=IMAGES[p.name], pin_memory=pin) for p in wanted}
    pixels = {name: tensor.view(torch.uint8).numpy().reshape(rows, -1) for name, tensor in tensors.items()}
    starts = [0, *(plane.offset + plane.nbytes for plane in wanted)]
    stops = [*(plane.offset for plane in wanted), max(whole, starts[-1])]
    gaps = np.cumsum([0, *(stop - start for start, stop in zip(starts, stops, strict=True))])
    scratch = np.empty((rows, gaps[-1]), np.uint8)  # headers only, side by side
    targets = []
    for row in range(rows):
        between = [scratch[row, start:stop].data for start, stop in pairwise(gaps)]
        images = [pixels[plane.name][row].data for plane in wanted]
        targets.append([*chain.from_iterable(zip(between, images, strict=False)), between[-1]])
    return Slot(tensors, targets)


def _length(part: slice) -> int:
    return int(part.stop) - int(part.start)
