"""Many windows of one file, with every block that they need fetched and decoded once.

Nothing is resampled: a window is a rectangle of the file's own pixels. How blocks are fetched and decoded is the
business of a `BlockFile`; this file knows which ones, and where their pixels go.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
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


Use = Callable[[Block, Pixels], None]
"""What is done with the pixels of a block."""


class BlockFile(Protocol):
    """An open file that is read block by block."""

    @property
    def header(self) -> Header:
        """What the file says of itself."""
        ...

    def read_blocks(self, blocks: Sequence[Block], use: Use) -> dict[Block, UnusableError]:
        """Call `use` once for each of the given blocks, with its pixels cropped to the image; return what is broken.

        The calls come in any order, and may come from several threads at once. The pixels are lent for the call only.

        Raises:
            RefusedError: the server wants another signature.
            TransientError: the server does not answer; nothing is known about the file.
        """
        ...


def read_windows(
    file: BlockFile, windows: Sequence[Window], targets: Sequence[Pixels], convert: Callable[[Pixels], Pixels]
) -> dict[int, UnusableError]:
    """Fill `targets` with the pixels of `windows`, and return the errors of those that need a broken block, by number.

    Args:
        file: where they are read.
        windows: what is read. What lies outside the file is left as it is in the target.
        targets: one array (height, width) for each window.
        convert: from pixels of the file to pixels of a target, one by one.

    Raises:
        RefusedError: the server wants another signature.
        TransientError: the server does not answer.
    """
    header = file.header
    users = blocks_of(header, windows)

    def use(block: Block, pixels: Pixels) -> None:
        place = Window(block.row * header.block_height, block.col * header.block_width, *pixels.shape)
        shared = [(number, windows[number].within(place)) for number in users[block]]
        hull = _hull([part for _, part in shared])
        if hull.area <= sum(part.area for _, part in shared):
            shown = convert(_cut(pixels, hull, place))
            for number, part in shared:
                _cut(targets[number], part, windows[number])[...] = _cut(shown, part, hull)
        else:
            for number, part in shared:
                _cut(targets[number], part, windows[number])[...] = convert(_cut(pixels, part, place))

    broken = file.read_blocks(sorted(users), use)
    # Of several broken blocks the first one names the fault, whatever was read first.
    return {number: broken[block] for block in sorted(broken, reverse=True) for number in users[block]}


def blocks_of(header: Header, windows: Iterable[Window]) -> Mapping[Block, list[int]]:
    """The blocks that windows need, each with the numbers of the windows that need it."""
    users: dict[Block, list[int]] = {}
    for number, window in enumerate(windows):
        part = window.within(header.window)
        if not part.area:
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


def _hull(parts: Sequence[Window]) -> Window:
    """The smallest window that holds all `parts`."""
    row, col = min(part.row for part in parts), min(part.col for part in parts)
    bottom, right = max(part.row + part.height for part in parts), max(part.col + part.width for part in parts)
    return Window(row, col, bottom - row, right - col)


def _cut(pixels: Pixels, part: Window, place: Window) -> Pixels:
    """A view of `part` in pixels that lie at `place`."""
    row, col = part.row - place.row, part.col - place.col
    return pixels[row : row + part.height, col : col + part.width]
