"""From the compressed bytes of a TIFF block to its pixels. The only file that knows imagecodecs.

Every codec here notices damage: GDAL goes on after a broken stream and hands out what it guesses.
"""

import threading
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


class _Scratch(threading.local):
    """Memory of a thread that decodes: getting fresh pages for every block would cost a quarter of the time."""

    def __init__(self) -> None:
        self._kept: dict[str, npt.NDArray[np.uint8]] = {}

    def take(self, name: str, size: int) -> npt.NDArray[np.uint8]:
        """So many bytes, with whatever is in them."""
        if name not in self._kept or self._kept[name].size != size:
            self._kept[name] = np.empty(size, np.uint8)
        return self._kept[name]


_scratch = _Scratch()


def _copy(data: Buffer, out: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    found = np.frombuffer(data, np.uint8)
    out[: found.size] = found[: out.size]
    return found if found.size != out.size else out


DECOMPRESS: Mapping[int, Callable[..., Any]] = {
    1: _copy,
    5: imagecodecs.lzw_decode,
    8: imagecodecs.deflate_decode,
    32946: imagecodecs.deflate_decode,
    50000: imagecodecs.zstd_decode,
}
"""By TIFF's number of the compression. Each is given the data and `out`, and returns as much of `out` as it filled."""

NO_PREDICTOR, DIFFERENCE, FLOATING_POINT = 1, 2, 3
"""TIFF's predictors: what was done to the numbers of a row before they were compressed."""


def understood(compression: int, predictor: int, dtype: np.dtype[Any]) -> bool:
    """Whether `decode` can read blocks of this kind."""
    predictors = {"f": (NO_PREDICTOR, FLOATING_POINT)}.get(dtype.kind, (NO_PREDICTOR, DIFFERENCE))
    return compression in DECOMPRESS and predictor in predictors


def decode(data: Buffer, compression: int, predictor: int, dtype: np.dtype[Any], height: int, width: int) -> Pixels:
    """The pixels of a whole block: one band, rows of numbers in the byte order of this machine.

    They lie in memory that the next call in the same thread uses again.

    Raises:
        DamagedError: the bytes are not a block of this kind and size.
    """
    raw = _scratch.take("raw", height * width * dtype.itemsize)
    try:
        found = DECOMPRESS[compression](data, out=raw)
    except (RuntimeError, ValueError) as error:
        raise DamagedError(str(error) or type(error).__name__) from None
    if len(found) != raw.size:
        raise DamagedError(f"{len(found)} bytes of pixels instead of {raw.size}")
    if predictor == FLOATING_POINT:
        return _undo_floating_point(raw, dtype, height, width)
    numbers = raw.view(dtype).reshape(height, width)
    if predictor == DIFFERENCE:
        imagecodecs.delta_decode(numbers, axis=1, out=numbers)
    return numbers


def _undo_floating_point(raw: npt.NDArray[np.uint8], dtype: np.dtype[Any], height: int, width: int) -> Pixels:
    """Rows hold the differences of bytes, all first bytes of their numbers, then all second ones, the highest first."""
    rows = raw.reshape(height, width * dtype.itemsize)
    imagecodecs.delta_decode(rows, axis=1, out=rows)
    planes = rows.reshape(height, dtype.itemsize, width)
    numbers = _scratch.take("numbers", raw.size).reshape(height, width, dtype.itemsize)
    for place in range(dtype.itemsize):
        numbers[:, :, dtype.itemsize - 1 - place] = planes[:, place]
    return numbers.view(dtype)[:, :, 0]
