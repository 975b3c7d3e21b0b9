"""The header of a TIFF: what its first image is, where on Earth, and where in the file each block lies.

Reads what providers of imagery write: classic and BigTIFF, tiles and strips, one band a plane. What it does not read it
refuses, and then GDAL reads the file (`rio`). TIFF 6.0, BigTIFF and OGC GeoTIFF 1.1 define the numbers below.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from croma.raster import codec
from croma.raster.header import Affine, Header
from croma.raster.source import Buffer, Source

HEAD = 32 << 10
"""Bytes that are fetched first: they hold the header of a Sentinel-2 band."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION = 256, 257, 258, 259
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_SIZES, _PLANAR = 273, 277, 278, 279, 284
_PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_SIZES, _FORMAT = 317, 322, 323, 324, 325, 339
_PIXEL_SIZE, _TIE_POINT, _GEO_KEYS, _NODATA = 33550, 33922, 34735, 42113

_MODEL_TYPE, _RASTER_TYPE, _GEOGRAPHIC, _PROJECTED, _USER_DEFINED, _PIXEL_IS_AREA = 1024, 1025, 2048, 3072, 32767, 1

_LONG = {_BITS, _STRIP_OFFSETS, _STRIP_SIZES, _TILE_OFFSETS, _TILE_SIZES, _FORMAT, _PIXEL_SIZE, _TIE_POINT, _GEO_KEYS}
"""Tags that are read even where their values lie outside the directory; and `_NODATA`."""

_VALUES = {1: "<u1", 2: "S1", 3: "<u2", 4: "<u4", 6: "<i1", 8: "<i2", 9: "<i4", 11: "<f4", 12: "<f8", 16: "<u8"}
"""NumPy types of the types of tags."""

_KINDS = {1: "uint", 2: "int", 3: "float"}
"""Names of types by sample format."""


class UnsupportedError(Exception):
    """A file that is not read here, though it may be fine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where the blocks of an image lie in its file, and how they are packed."""

    header: Header
    strips: bool
    """Blocks are strips: the last one holds only the rows that are left, while a tile is always whole."""
    offsets: Sequence[int]
    """Bytes from the start of the file, by block, rows first."""
    sizes: Sequence[int]
    """Compressed bytes, by block; 0 for one that was never written."""
    compression: int
    predictor: int


def read_layout(source: Source) -> Layout:
    """The layout of the first image of a file.

    Raises:
        UnsupportedError: it is no TIFF, or one of a rare kind.
        RefusedError: the server wants another signature.
        UnusableError: there is no such file.
        TransientError: the server does not answer.
    """
    tags = _read_tags(_Reader(source))
    tiled = _TILE_WIDTH in tags
    width, height = tags.one(_WIDTH), tags.one(_HEIGHT)
    block_width, block_height = tags.one(_TILE_WIDTH, width), tags.one(_TILE_HEIGHT, tags.one(_ROWS_PER_STRIP, height))
    count = -(-height // block_height) * -(-width // block_width)
    dtype, compression, predictor = _dtype(tags), tags.one(_COMPRESSION, 1), tags.one(_PREDICTOR, 1)
    if tags.one(_SAMPLES, 1) > 1 and tags.one(_PLANAR, 1) == 1:
        raise UnsupportedError("bands are interleaved by pixel")
    if not codec.understood(compression, predictor, np.dtype(dtype)):
        raise UnsupportedError(f"compression {compression} with predictor {predictor} of {dtype}")
    offsets, sizes = tags[_TILE_OFFSETS if tiled else _STRIP_OFFSETS], tags[_TILE_SIZES if tiled else _STRIP_SIZES]
    if min(len(offsets), len(sizes)) < count:
        raise UnsupportedError(f"{len(offsets)} offsets and {len(sizes)} sizes for {count} blocks")
    epsg = _epsg(tags)
    header = Header(
        epsg=epsg,
        crs=f"EPSG:{epsg}",
        transform=_transform(tags),
        height=height,
        width=width,
        block_height=block_height,
        block_width=block_width,
        dtype=dtype,
        nodata=_nodata(tags),
    )
    return Layout(
        header=header,
        strips=not tiled,
        offsets=offsets[:count].tolist(),
        sizes=sizes[:count].tolist(),
        compression=compression,
        predictor=predictor,
    )


class _Tags(dict[int, npt.NDArray[Any]]):
    """Values of the tags of an image by number."""

    def __missing__(self, number: int) -> npt.NDArray[Any]:
        raise UnsupportedError(f"no tag {number}")

    def one(self, number: int, default: int | None = None) -> int:
        """The first value of a tag; `default` where there is no such tag."""
        return default if default is not None and number not in self else int(self[number][0])


class _Reader:
    """Random access to the front of a file, with as few requests as possible."""

    def __init__(self, source: Source) -> None:
        self._source = source
        (self._head,) = source.ranges([0], [HEAD])

    def at(self, start: int, length: int) -> Buffer:
        if start + length <= len(self._head):
            return self._head[start : start + length]
        (part,) = self._source.ranges([start], [length])
        if len(part) < length:
            raise UnsupportedError("the header is cut short")
        return part

    def numbers(self, dtype: Any, start: int, count: int = 1) -> npt.NDArray[Any]:
        return np.frombuffer(self.at(start, np.dtype(dtype).itemsize * count), dtype)


def _read_tags(reader: _Reader) -> _Tags:
    magic = bytes(reader.at(0, 8))
    if magic[:4] == b"II*\0":
        start, counter, word, inline = int(reader.numbers("<u4", 4)[0]), "<u2", "<u4", 4
    elif magic == b"II+\0\x08\0\0\0":
        start, counter, word, inline = int(reader.numbers("<u8", 8)[0]), "<u8", "<u8", 8
    else:
        raise UnsupportedError("no little-endian TIFF")
    entry = np.dtype([("tag", "<u2"), ("type", "<u2"), ("count", word), ("value", word)])
    entries = reader.numbers(entry, start + np.dtype(counter).itemsize, int(reader.numbers(counter, start)[0]))
    tags = _Tags()
    for tag, kind, count, value in entries.tolist():
        if kind not in _VALUES:
            continue
        dtype = np.dtype(_VALUES[kind])
        if dtype.itemsize * count <= inline:
            tags[tag] = np.frombuffer(int(value).to_bytes(inline, "little"), dtype, count)
        elif tag in _LONG or tag == _NODATA:
            tags[tag] = reader.numbers(dtype, value, count)
    return tags


def _dtype(tags: _Tags) -> str:
    kind, bits = _KINDS.get(tags.one(_FORMAT, 1)), tags.one(_BITS, 1)
    if kind is None or bits not in ((32, 64) if kind == "float" else (8, 16, 32)):
        raise UnsupportedError(f"{bits} bits of sample format {tags.one(_FORMAT, 1)}")
    return f"{kind}{bits}"


def _epsg(tags: _Tags) -> int:
    """The code of the CRS, where the file names one and counts pixels from their corners."""
    if _GEO_KEYS not in tags:
        raise UnsupportedError("no coordinate reference system")
    quads: Sequence[Sequence[int]] = tags[_GEO_KEYS][4:].reshape(-1, 4).tolist()
    keys = {key: value for key, location, _, value in quads if location == 0}
    code = keys.get({1: _PROJECTED, 2: _GEOGRAPHIC}.get(keys.get(_MODEL_TYPE, 0), 0), _USER_DEFINED)
    if code == _USER_DEFINED or keys.get(_RASTER_TYPE, _PIXEL_IS_AREA) != _PIXEL_IS_AREA:
        raise UnsupportedError("a coordinate reference system without EPSG code, or pixels counted from their centres")
    return int(code)


def _transform(tags: _Tags) -> Affine:
    size, tie = tags[_PIXEL_SIZE].tolist(), tags[_TIE_POINT].tolist()
    if len(tie) != 6 or any(tie[:3]):
        raise UnsupportedError("not placed by its corner")
    return size[0], 0.0, tie[3], 0.0, -size[1], tie[4]


def _nodata(tags: _Tags) -> float | None:
    if _NODATA not in tags:
        return None
    text = b"".join(tags[_NODATA].tolist()).decode("ascii", "replace").strip("\0 ")
    try:
        return float(text)
    except ValueError:
        raise UnsupportedError(f"nodata {text!r}") from None
