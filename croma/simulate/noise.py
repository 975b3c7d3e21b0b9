"""Randomness that is a function of place: periodic random fields, and hashes of integers.

Nothing here depends on the order of calls or on the window asked for, so two tiles that see the same ground agree.
"""

from functools import lru_cache
from hashlib import sha256

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint32]


def generator(*key: object) -> np.random.Generator:
    """A generator that depends on nothing but `key`."""
    return np.random.default_rng(int.from_bytes(sha256(repr(key).encode()).digest()[:16], "little"))


def mix(*parts: npt.NDArray[np.integer] | int) -> Words:
    """A well mixed 32-bit hash of integers, element by element; arrays broadcast."""
    state: Words = np.full(1, 0x9E3779B9, np.uint32)
    for part in parts:
        word = np.asarray(part).astype(np.int64).astype(np.uint32)
        state = (state ^ word) * np.uint32(0x85EBCA6B)
        state ^= state >> np.uint32(15)
        state *= np.uint32(0xC2B2AE35)
        state ^= state >> np.uint32(13)
    return state


def unit(words: Words, shift: int = 0) -> Floats:
    """Numbers in [0, 1) from 16 bits of a hash, starting at bit `shift` (0 to 16)."""
    return ((words >> np.uint32(shift)) & np.uint32(0xFFFF)).astype(np.float32) * np.float32(1 / 65536)


class Field:
    """A random function of the plane with mean 0 and standard deviation 1, periodic in `size` × `pixel` metres."""

    def __init__(self, values: Floats, pixel: float) -> None:
        size = values.shape[0]
        assert values.shape == (size, size)
        assert size & (size - 1) == 0, "the size is a power of two"
        self.values = np.ascontiguousarray((values - values.mean()) / values.std(), np.float32)
        self.pixel = pixel
        self.size = size

    @classmethod
    def smooth(cls, *key: object, wavelength: float, pixel: float, size: int = 512) -> "Field":
        """A field whose features have one scale: `wavelength` metres from crest to crest."""
        k = _wave_numbers(size, pixel) * wavelength
        return cls._shaped(np.exp(-((k - 1) ** 2) / (2 * 0.45**2)), pixel, size, key)

    @classmethod
    def fractal(cls, *key: object, longest: float, slope: float, pixel: float, size: int = 512) -> "Field":
        """A field of all scales below `longest` metres, with amplitudes falling as wave number to the −`slope`."""
        k = _wave_numbers(size, pixel) * longest
        return cls._shaped(1 / (1 + k**2) ** (slope / 2), pixel, size, key)

    @classmethod
    def _shaped(cls, amplitude: npt.NDArray[np.float64], pixel: float, size: int, key: tuple[object, ...]) -> "Field":
        white = generator("field", *key).standard_normal((size, size), dtype=np.float32)
        shaped = fft.rfft2(white) * amplitude.astype(np.float32)
        shaped[0, 0] = 0
        values: Floats = fft.irfft2(shaped, s=(size, size)).astype(np.float32)
        return cls(values, pixel)

    def at(self, x: Floats, y: Floats) -> Floats:
        """Values at points in metres, interpolated linearly."""
        return interpolated(self.values, self.pixel, x, y)

    def pick(self, x: Floats, y: Floats) -> Floats:
        """Values at points in metres, from the nearest sample: for textures as fine as the pixels."""
        mask = self.size - 1
        column = np.rint(x * np.float32(1 / self.pixel)).astype(np.int32) & mask
        row = np.rint(y * np.float32(1 / self.pixel)).astype(np.int32) & mask
        picked: Floats = self.values.ravel().take(row * self.size + column)
        return picked


def interpolated(values: Floats, pixel: float, x: Floats, y: Floats) -> Floats:
    """Periodic `values`, `pixel` metres apart, at points in metres, interpolated linearly."""
    places = np.stack([y / np.float32(pixel), x / np.float32(pixel)])
    result: Floats = ndimage.map_coordinates(values, places, order=1, mode="grid-wrap")
    return result


@lru_cache(maxsize=4)  # most fields of a world share two or three grids
def _wave_numbers(size: int, pixel: float) -> npt.NDArray[np.float64]:
    """Cycles per metre of the bins of a real FFT, shape (size, size // 2 + 1)."""
    numbers: npt.NDArray[np.float64] = np.hypot(
        np.fft.fftfreq(size, pixel)[:, None], np.fft.rfftfreq(size, pixel)[None, :]
    )
    numbers.setflags(write=False)
    return numbers


def enlarge(nodes: Floats, factor: int, height: int, width: int) -> Floats:
    """Linear interpolation between nodes that stand `factor` pixels apart, the first on the first pixel.

    `nodes` has shape (≥ ceil((height − 1) / factor) + 1, the same of the width); the result (height, width).
    """
    rows = -(-height // factor)
    columns = -(-width // factor)
    weight = (np.arange(factor, dtype=np.float32) / np.float32(factor)).astype(np.float32)
    left, right = nodes[: rows + 1, :columns], nodes[: rows + 1, 1 : columns + 1]
    wide = (left[:, :, None] + (right - left)[:, :, None] * weight).reshape(rows + 1, -1)[:, :width]
    tall = np.empty((rows, factor, wide.shape[1]), np.float32)
    np.multiply((wide[1:] - wide[:-1])[:, None, :], weight[:, None], out=tall)
    tall += wide[:-1, None, :]
    return tall.reshape(rows * factor, -1)[:height]


def blurred(values: Floats, side: float) -> Floats:
    """`values` with a share `side` of each taken from each of its two neighbours, along both axes in turn."""
    for axis in (0, 1):
        blur = values * np.float32(1 - 2 * side)
        source, target = np.moveaxis(values, axis, 0), np.moveaxis(blur, axis, 0)
        target[1:] += np.float32(side) * source[:-1]
        target[:-1] += np.float32(side) * source[1:]
        target[0] += np.float32(side) * source[0]
        target[-1] += np.float32(side) * source[-1]
        values = blur
    return values
