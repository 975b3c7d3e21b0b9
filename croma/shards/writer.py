"""Writing a shard: chips in, one tar file and the place of every chip out."""

import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from croma.chip import Chip
from croma.shards.layout import END, ChipLayout, encode


class Place(NamedTuple):
    """Where a chip is in its shard."""

    chip: str
    """Chip id."""
    offset: int
    """Bytes from the start of the file to the first tar header of the chip."""
    length: int
    """Bytes to read from there for all planes: `ChipLayout.length`."""
    crc32: int
    """Of those bytes."""


class Written(NamedTuple):
    """A finished shard file."""

    places: list[Place]
    """In file order."""
    size: int
    """Bytes."""
    sha256: str


def write_shard(path: Path, chips: Iterable[Chip], layout: ChipLayout) -> Written:
    """Write `chips` in the given order to `path`. Law of purity: equal chips, equal bytes.

    Chips are taken one at a time, so memory holds one chip whatever the size of the shard.
    """
    places: list[Place] = []
    hasher = hashlib.sha256()
    position = 0
    with path.open("wb") as file:
        for chip in chips:
            data = encode(chip, layout)
            places.append(Place(chip.id, position, layout.length, zlib.crc32(memoryview(data)[: layout.length])))
            file.write(data)
            hasher.update(data)
            position += len(data)
        file.write(END)
        hasher.update(END)
    return Written(places, position + len(END), hasher.hexdigest())
