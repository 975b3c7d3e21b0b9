"""Chips kept on disk between cutting and writing: they are cut scene by scene, and written in another order."""

from collections.abc import Iterator
from dataclasses import replace
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Self

import numpy as np

from croma.chip import Chip
from croma.shards.layout import ChipLayout

IN_MEMORY = 128 << 20
"""Bytes. Less than that never touches the disk."""


class Spool:
    """Chips by number: put in any order, taken by number, each held in memory only while it is used."""

    def __init__(self, layout: ChipLayout, folder: str) -> None:
        """Chips must have `layout`; `folder` is where they go when there are many."""
        self._layout = layout
        self._file = SpooledTemporaryFile(IN_MEMORY, dir=folder)  # noqa: SIM115 (closed by __exit__)
        self._kept: dict[int, tuple[int, Chip]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def put(self, number: int, chip: Chip) -> None:
        """Keep a chip."""
        position = self._file.seek(0, 2)
        planes = [chip.radar, *(chip.optical[resolution] for resolution in sorted(chip.optical))]
        for plane in [*planes, chip.label]:
            if plane is not None:
                self._file.write(np.ascontiguousarray(plane).data)
        empty = np.empty(0, np.float16)
        self._kept[number] = position, replace(chip, radar=empty, optical={}, label=None)

    def heads(self) -> list[Chip]:
        """All chips without their pixels, by ascending number."""
        return [self._kept[number][1] for number in sorted(self._kept)]

    def chips(self) -> Iterator[Chip]:
        """All chips, by ascending number."""
        for number in sorted(self._kept):
            position, chip = self._kept[number]
            self._file.seek(position)
            planes = {
                plane.name: np.frombuffer(self._file.read(plane.nbytes), plane.dtype).reshape(plane.shape)
                for plane in self._layout.planes
            }
            optical = {int(name[3:-1]): pixels for name, pixels in planes.items() if name.startswith("s2_")}
            yield replace(chip, radar=planes["s1"], optical=optical, label=planes.get("label"))
