"""Many windows of one file, with every block that they need fetched and decoded once.

Nothing is resampled: a window is a rectangle of the file's own pixels. How blocks are fetched and decoded is the
business of a `BlockFile`; this file knows which ones, and where their pixels go.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from croma.errors import UnusableError
from croma.raster.header import Header, Window

Pixels = npt.NDArray[Any]


class Block(NamedTuple):
    """The place of a block in its file, counted in blocks; ordered as blocks usually lie in the file."""

    row: int
    col: int


class BlockFile(Protocol):
    """An open file that is read block by block."""

    @property
    def header(self) -> Header:
        """What the file says of itself."""
        ...

    def read_blocks(self, blocks: Sequence[Block]) -> Iterator[tuple[Block, Pixels | UnusableError]]:
        """Pixels of each of the given blocks, in any order, cropped to the image; the error for one that is broken.

        Raises:
            TransientError: the server does not answer; nothing is known about the file.
        """
        ...


def read_windows(file: BlockFile, windows: Sequence[Window]) -> list[Pixels | UnusableError]:
    """The pixels of every window, shape (height, width), in the file's type.

    What lies outside the file is `blank`. A window that needs a broken block is that block's error instead; the other
    windows are not touched by it.

    Raises:
        TransientError: the server does not answer.
    """
    header = file.header
    users = blocks_of(header, windows)
    found: list[Pixels | UnusableError] = [blank(header, window.height, window.width) for window in windows]
    for block, pixels in file.read_blocks(sorted(users)):
        for number in users[block]:
            target = found[number]
            if isinstance(pixels, UnusableError):
                found[number] = pixels
            elif not isinstance(target, UnusableError):
                _paste(target, windows[number], pixels, block.row * header.block_height, block.col * header.block_width)
    return found


def blocks_of(header: Header, windows: Iterable[Window]) -> Mapping[Block, list[int]]:
    """The blocks that windows need, each with the numbers of the windows that need it."""
    users: dict[Block, list[int]] = {}
    for number, window in enumerate(windows):
        part = window.clip(header.height, header.width)
        if not (part.height and part.width):
            continue
        rows = range(part.row // header.block_height, (part.row + part.height - 1) // header.block_height + 1)
        cols = range(part.col // header.block_width, (part.col + part.width - 1) // header.block_width + 1)
        for row in rows:
            for col in cols:
                users.setdefault(Block(row, col), []).append(number)
    return users


def blank(header: Header, height: int, width: int) -> Pixels:
    """Pixels of nothing, as outside the file: the declared nodata, else NaN where the type has it, else 0."""
    dtype = np.dtype(header.dtype)
    missing = np.nan if dtype.kind == "f" else 0
    return np.full((height, width), missing if header.nodata is None else header.nodata, dtype)


def _paste(target: Pixels, window: Window, pixels: Pixels, row: int, col: int) -> None:
    """Copy into `target`, which is `window`, its share of `pixels`, whose first one is at `row`, `col` of the file."""
    top, left = max(row, window.row), max(col, window.col)
    bottom = min(row + pixels.shape[0], window.row + window.height)
    right = min(col + pixels.shape[1], window.col + window.width)
    target[top - window.row : bottom - window.row, left - window.col : right - window.col] = pixels[
        top - row : bottom - row, left - col : right - col
    ]
