"""From the compressed bytes of a TIFF block to its pixels. The only file that knows imagecodecs.

Every codec here notices damage: GDAL goes on after a broken stream and hands out what it guesses.
"""

from collections.abc import Callable, Mapping
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]
Buffer = Any
"""Anything that gives its memory, such as bytes; no type says that in Python 3.11."""


class DamagedError(Exception):
    """The bytes are not what was written."""


def _inflate(data: Buffer, size: int) -> Buffer:
    return bytes(imagecodecs.deflate_decode(data, out=size))


def _lzw(data: Buffer, size: int) -> Buffer:
    return bytes(imagecodecs.lzw_decode(data, out=size))


def _zstd(data: Buffer, size: int) -> Buffer:
    return bytes(imagecodecs.zstd_decode(data, out=size))


DECOMPRESS: Mapping[int, Callable[[Buffer, int], Buffer]] = {
    1: lambda data, _: data,
    5: _lzw,
    8: _inflate,
    32946: _inflate,
    50000: _zstd,
}
"""By TIFF's number of the compression."""

NO_PREDICTOR, DIFFERENCE, FLOATING_POINT = 1, 2, 3
"""TIFF's predictors: what was done to the numbers of a row before they were compressed."""


def understood(compression: int, predictor: int, dtype: np.dtype[Any]) -> bool:
    """Whether `decode` can read blocks of this kind."""
    predictors = {"f": (NO_PREDICTOR, FLOATING_POINT)}.get(dtype.kind, (NO_PREDICTOR, DIFFERENCE))
    return compression in DECOMPRESS and predictor in predictors


def decode(data: Buffer, compression: int, predictor: int, dtype: np.dtype[Any], height: int, width: int) -> Pixels:
    """The pixels of a whole block: one band, rows of numbers in the byte order of this machine.

    Raises:
        DamagedError: the bytes are not a block of this kind and size.
    """
    size = height * width * dtype.itemsize
    try:
        raw = DECOMPRESS[compression](data, size)
    except (RuntimeError, ValueError) as error:
        raise DamagedError(str(error) or type(error).__name__) from None
    if len(raw) != size:
        raise DamagedError(f"{len(raw)} bytes of pixels instead of {size}")
    if predictor == FLOATING_POINT:
        return _undo_floating_point(raw, dtype, height, width)
    numbers = np.frombuffer(raw, dtype).reshape(height, width)
    return np.asarray(imagecodecs.delta_decode(numbers, axis=1)) if predictor == DIFFERENCE else numbers


def _undo_floating_point(raw: Buffer, dtype: np.dtype[Any], height: int, width: int) -> Pixels:
    """Rows hold the differences of bytes, all first bytes of their numbers, then all second ones, the highest first."""
    rows = np.frombuffer(raw, np.uint8).reshape(height, width * dtype.itemsize)
    planes = np.asarray(imagecodecs.delta_decode(rows, axis=1)).reshape(height, dtype.itemsize, width)
    numbers = np.empty((height, width, dtype.itemsize), np.uint8)
    for place in range(dtype.itemsize):
        numbers[:, :, dtype.itemsize - 1 - place] = planes[:, place]
    return numbers.view(dtype.newbyteorder("<"))[:, :, 0]
