"""Several buffers in a row, taken for one."""

from collections.abc import Sequence

Buffers = Sequence[memoryview]
"""Of bytes, one after the other."""


def cut(buffers: Buffers, start: int, stop: int) -> list[memoryview]:
    """The parts that hold bytes `start` to `stop`."""
    found, position = [], 0
    for buffer in buffers:
        end = position + len(buffer)
        if start <= position and end <= stop:
            found.append(buffer)
        elif start < end and position < stop:
            found.append(buffer[max(start - position, 0) : stop - position])
        position = end
    return found


def put(data: memoryview, buffers: Buffers, position: int) -> None:
    """Copy `data` to byte `position` and those after it."""
    for part in cut(buffers, position, position + len(data)):
        part[:], data = data[: len(part)], data[len(part) :]
