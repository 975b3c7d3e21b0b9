"""The bytes of a chip in a shard: POSIX tar members whose array data lie at fixed, aligned offsets.

A shard is a plain tar that any WebDataset client reads: one chip is the consecutive members `<chip>.s1.npy`,
`<chip>.s2_10m.npy`, `.s2_20m.npy`, `.s2_60m.npy`, `.label.npy` where there are labels, and `<chip>.json`. Each `.npy`
header is padded to 512 bytes, so array data start on multiples of 512 and all chips of a dataset are laid out alike:
one range read of `ChipLayout.length` bytes from the index's offset gives every plane without parsing tar or npy.

This file needs numpy alone.
"""

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from croma.chip import Chip
from croma.grid import PIXEL
from croma.sensors import OPTICAL_CHANNELS, SENTINEL_1_RTC, SENTINEL_2_L2A

BLOCK = 512
"""Bytes. A tar block, a tar header, and the padded header of every array."""

END = bytes(2 * BLOCK)
"""What a tar ends with."""


class Plane(NamedTuple):
    """One array of a chip."""

    name: str
    """Extension of the member without `.npy`: s1, s2_10m, s2_20m, s2_60m, label."""
    dtype: str
    """Little-endian NumPy type."""
    shape: tuple[int, ...]
    """(bands, height, width); a label has no bands."""
    offset: int
    """Bytes from the start of the chip to the first byte of array data."""

    @property
    def nbytes(self) -> int:
        """Bytes of array data."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, kw_only=True)
class ChipLayout:
    """How every chip of a dataset is laid out."""

    size: int
    """Pixels of 10 m along a side."""
    label: bool
    """Whether a label plane follows."""
    native: bool = True
    """Whether optical bands are at their native resolutions; if not, all twelve are at 10 m."""

    @cached_property
    def planes(self) -> tuple[Plane, ...]:
        """The arrays in file order."""
        wanted: list[tuple[str, str, tuple[int, ...]]] = [
            ("s1", "<f2", (len(SENTINEL_1_RTC.bands), self.size, self.size))
        ]
        for resolution in SENTINEL_2_L2A.resolutions if self.native else (PIXEL,):
            side = self.size * PIXEL // resolution
            bands = len(SENTINEL_2_L2A.at(resolution)) if self.native else OPTICAL_CHANNELS
            wanted.append((f"s2_{resolution}m", "<u2", (bands, side, side)))
        if self.label:
            wanted.append(("label", "|u1", (self.size, self.size)))
        planes, position = [], 0
        for name, dtype, shape in wanted:
            plane = Plane(name, dtype, shape, position + 2 * BLOCK)
            planes.append(plane)
            position = plane.offset + _padded(plane.nbytes)
        return tuple(planes)

    @cached_property
    def length(self) -> int:
        """Bytes from the start of a chip to the end of its last plane, padding included."""
        last = self.planes[-1]
        return last.offset + _padded(last.nbytes)


def encode(chip: Chip, layout: ChipLayout) -> bytes:
    """The tar members of a chip: its planes in the order of `layout`, then its facts as JSON.

    Raises:
        ValueError: an array has not the shape or type that the layout says.
    """
    arrays = _arrays(chip)
    out = io.BytesIO()
    for plane in layout.planes:
        array = arrays.get(plane.name)
        if array is None or array.shape != plane.shape or array.dtype != np.dtype(plane.dtype):
            found = "nothing" if array is None else f"{array.dtype} {array.shape}"
            raise ValueError(f"chip {chip.id}: {plane.name} should be {plane.dtype} {plane.shape}, is {found}")
        _member(out, f"{chip.id}.{plane.name}.npy", _npy_header(plane) + np.ascontiguousarray(array).tobytes())
    _member(out, f"{chip.id}.json", _facts(chip))
    return out.getvalue()


def decode(data: bytes | memoryview, layout: ChipLayout) -> dict[str, npt.NDArray[Any]]:
    """The planes of a chip by name, as read-only views of its `layout.length` bytes."""
    return {
        plane.name: np.frombuffer(data, plane.dtype, prod(plane.shape), plane.offset).reshape(plane.shape)
        for plane in layout.planes
    }


def optical_by_resolution(planes: Mapping[str, npt.NDArray[Any]]) -> dict[int, npt.NDArray[np.uint16]]:
    """The optical planes keyed by resolution in metres."""
    names = {resolution: f"s2_{resolution}m" for resolution in SENTINEL_2_L2A.resolutions}
    return {resolution: planes[name] for resolution, name in names.items() if name in planes}


def _arrays(chip: Chip) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {"s1": chip.radar}
    arrays |= {f"s2_{resolution}m": bands for resolution, bands in chip.optical.items()}
    return arrays if chip.label is None else arrays | {"label": chip.label}


def _facts(chip: Chip) -> bytes:
    cell = chip.cell
    facts = {"chip": chip.id, "epsg": cell.epsg, "left": cell.left, "top": cell.top, **chip.facts}
    return json.dumps(facts, sort_keys=True, allow_nan=False).encode()


def _npy_header(plane: Plane) -> bytes:
    """A version 1.0 npy header, padded with spaces to `BLOCK` bytes as the format allows (NEP 1)."""
    content = f"{{'descr': '{plane.dtype}', 'fortran_order': False, 'shape': {plane.shape}, }}".encode()
    room = BLOCK - 10
    return b"\x93NUMPY\x01\x00" + room.to_bytes(2, "little") + content.ljust(room - 1) + b"\n"


def _member(out: io.BytesIO, name: str, data: bytes) -> None:
    """Append one tar member with every field that could vary (owner, time) at zero, so that bytes repeat."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    out.write(info.tobuf(tarfile.USTAR_FORMAT))
    out.write(data)
    out.write(bytes(_padded(len(data)) - len(data)))


def _padded(length: int) -> int:
    return -(-length // BLOCK) * BLOCK
