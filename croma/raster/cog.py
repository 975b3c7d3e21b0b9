"""TIFFs read block by block: the header once, ranges together, every block decoded once, on all cores."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import numpy as np

from croma.errors import UnusableError
from croma.raster import codec
from croma.raster.faults import RefusedError
from croma.raster.header import Header
from croma.raster.source import Buffer, Source
from croma.raster.tiff import Layout
from croma.raster.window import Block, Use, blank

GROUP = 4 << 20
"""Bytes of compressed blocks that are fetched at once."""


class CogFile:
    """An open TIFF, as a `BlockFile`."""

    def __init__(self, source: Source, layout: Layout) -> None:
        """Blocks come from `source`, and lie there as `layout` says."""
        self._source = source
        self._layout = layout
        self._columns = -(-self.header.width // self.header.block_width)

    @property
    def header(self) -> Header:
        """See `BlockFile`."""
        return self._layout.header

    def read_blocks(self, blocks: Sequence[Block], use: Use) -> dict[Block, UnusableError]:
        """See `BlockFile`. The next blocks are fetched while those before are decoded."""
        broken: dict[Block, UnusableError] = {}
        decoding: list[Future[UnusableError | None]] = []
        order: list[Block] = []
        for group in self._groups(blocks):
            fetched = self._fetch(group)
            _collect(order, decoding, broken)
            order = group
            decoding = [
                _decoders().submit(self._decode, block, data, use) for block, data in zip(group, fetched, strict=True)
            ]
        _collect(order, decoding, broken)
        return broken

    def _place(self, block: Block) -> tuple[int, int]:
        """Offset and size of a block in the file."""
        number = block.row * self._columns + block.col
        return self._layout.offsets[number], self._layout.sizes[number]

    def _groups(self, blocks: Sequence[Block]) -> Iterator[list[Block]]:
        """The blocks in the order of the file, as many together as fit into `GROUP`."""
        group: list[Block] = []
        total = 0
        for block in sorted(blocks, key=self._place):
            _, size = self._place(block)
            if group and total + size > GROUP:
                yield group
                group, total = [], 0
            group.append(block)
            total += size
        if group:
            yield group

    def _fetch(self, blocks: Sequence[Block]) -> list[Buffer | UnusableError]:
        places = [self._place(block) for block in blocks]
        try:
            return list(self._source.ranges([start for start, _ in places], [size for _, size in places]))
        except RefusedError:
            raise
        except UnusableError as error:
            # One range beyond the end of the file fails all that are asked for with it.
            return [error] if len(blocks) == 1 else [part for block in blocks for part in self._fetch([block])]

    def _decode(self, block: Block, data: Buffer | UnusableError, use: Use) -> UnusableError | None:
        header, layout, (_, size) = self.header, self._layout, self._place(block)
        below, beside = header.height - block.row * header.block_height, header.width - block.col * header.block_width
        height, width = min(header.block_height, below), min(header.block_width, beside)
        if size == 0:
            use(block, blank(header, height, width))
            return None
        if isinstance(data, UnusableError):
            return UnusableError(f"block {block.row}, {block.col} cannot be read: {data}")
        if len(data) < size:
            return UnusableError(f"block {block.row}, {block.col} is cut short: {len(data)} of {size} bytes")
        rows = height if layout.strips else header.block_height
        try:
            pixels = codec.decode(
                data, layout.compression, layout.predictor, np.dtype(header.dtype), rows, header.block_width
            )
        except codec.DamagedError as error:
            return UnusableError(f"block {block.row}, {block.col} is damaged: {error}")
        use(block, pixels[:height, :width])
        return None


def _collect(
    blocks: Sequence[Block], decoding: Sequence[Future[UnusableError | None]], broken: dict[Block, UnusableError]
) -> None:
    """Wait until all blocks are decoded and used, and note what is wrong with any."""
    for block, task in zip(blocks, decoding, strict=True):
        error = task.result()
        if error is not None:
            broken[block] = error


@lru_cache(maxsize=1)
def _decoders() -> ThreadPoolExecutor:
    """Threads that decode for all files of this process: as many as there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ThreadPoolExecutor(cores, thread_name_prefix="decode")
