"""From the numbers in a provider's file to the numbers of a dataset: reflectance, decibels, classes.

A `Scaling` knows three things of a band: which pixels were measured, how it may be resampled, and what its numbers
become. Resampling happens between the first and the last, so decibels are never averaged and nodata never mixes in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from croma.sensors import SENTINEL_1_RTC, Role

Pixels = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

SATURATED = 65535
"""Sentinel-2's number for a saturated pixel. It is kept, so that it can be told from a bright one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """How the pixels of a band are read."""

    dtype: np.dtype[Any]
    """Of the stored numbers."""
    resampling: Literal["nearest", "bilinear"]
    """Where the grids differ."""
    measured: Callable[[Pixels, float | None], Mask]
    """Which numbers of the file are measurements, given the nodata value that the file declares."""
    convert: Callable[[Pixels, Mask], Pixels]
    """Numbers of the file, resampled or not, and which of them to believe, to the stored unit and type."""
    plain: bool = False
    """Whether numbers of the stored type are stored as they are, where the file has no other nodata than 0."""

    def store(self, numbers: Pixels, nodata: float | None) -> Pixels:
        """Numbers of a file that declares `nodata`, to the stored unit and type; the same array if they stay."""
        if self.plain and numbers.dtype == self.dtype and nodata in (None, 0):
            return numbers
        return self.convert(numbers, self.measured(numbers, nodata))


@lru_cache(maxsize=256)
def scaling(role: Role, scale: float = 1.0, offset: float = 0.0) -> Scaling:
    """How a band of a sensor is read.

    Args:
        role: of the sensor.
        scale: of the asset: stored value = number × scale + offset.
        offset: of the asset: −1000 for Sentinel-2 products of processing baseline 04.00 and later.
    """
    if role == "optical":
        return Scaling(
            dtype=np.dtype(np.uint16),
            resampling="bilinear",
            measured=reflectance_measured,
            convert=partial(reflectance, scale=scale, offset=offset),
            plain=(scale, offset) == (1, 0),
        )
    return Scaling(
        dtype=np.dtype(np.float16),
        resampling="bilinear",
        measured=partial(power_measured, scale=scale, offset=offset),
        convert=partial(decibels, scale=scale, offset=offset),
    )


def reflectance_measured(numbers: Pixels, nodata: float | None) -> Mask:
    """Sentinel-2: 0 is nodata, and so is what the file declares."""
    mask: Mask = numbers != 0
    if numbers.dtype.kind == "f":
        mask &= np.isfinite(numbers)
    return mask if nodata in (None, 0) else mask & (numbers != nodata)


def reflectance(numbers: Pixels, measured: Mask, scale: float, offset: float) -> npt.NDArray[np.uint16]:
    """Reflectance × 10,000 with 0 for nodata. A dark pixel is at least 1, so that it stays a measurement.

    Args:
        numbers: as in the file, any shape, any real type.
        measured: which of them are measurements.
        scale: factor of the asset.
        offset: added after the factor, in units of reflectance × 10,000.
    """
    if numbers.dtype == np.uint16 and scale == 1 and float(offset).is_integer():
        return _shifted(numbers, measured, int(offset))
    value = np.floor(np.where(measured, numbers, 0.0).astype(np.float64) * scale + offset + 0.5)
    stored = np.clip(value, 1, SATURATED).astype(np.uint16)
    stored[numbers == SATURATED] = SATURATED
    stored[~measured] = 0
    return stored


def _shifted(numbers: npt.NDArray[np.uint16], measured: Mask, offset: int) -> npt.NDArray[np.uint16]:
    """`reflectance` of whole numbers, in their own type: clipped first, so that adding cannot leave it."""
    if not offset:
        return np.where(measured, numbers, np.uint16(0))
    low, high = max(1 - offset, 0), min(SATURATED - offset, SATURATED)
    stored = np.clip(numbers, low, high) + np.uint16(offset % 65536)
    stored[numbers == SATURATED] = SATURATED
    stored[~measured] = 0
    return stored


def power_measured(numbers: Pixels, nodata: float | None, scale: float, offset: float) -> Mask:
    """Radar power: −32768, zero, negative and NaN are nodata, and so is what the file declares."""
    mask: Mask = np.isfinite(numbers)
    if (scale, offset) == (1, 0):
        mask &= numbers > 0  # which −32768 is not
    else:
        mask &= (numbers != SENTINEL_1_RTC.nodata) & (numbers * scale + offset > 0)
    return mask if nodata is None else mask & (numbers != nodata)


def decibels(numbers: Pixels, measured: Mask, scale: float, offset: float) -> npt.NDArray[np.float16]:
    """10·log10 of linear power, NaN for nodata.

    The logarithm is taken in double precision: single precision differs between processors in the last bits, and then
    the rounding to half precision would too.
    """
    # In place: fresh memory for every step costs several times the arithmetic.
    power = numbers.astype(np.float64)
    if (scale, offset) != (1, 0):
        power *= scale
        power += offset
    missing = ~measured
    holes = missing.any()
    if holes:
        power[missing] = 1
    np.log10(power, out=power)
    power *= 10
    stored = power.astype(np.float16)
    if holes:
        stored[missing] = np.nan
    return stored


def classes_measured(numbers: Pixels, nodata: float | None) -> Mask:
    """Class codes: 0 is nodata, and so is what the file declares."""
    mask: Mask = numbers != 0
    return mask if nodata is None else mask & (numbers != nodata)


def classes(numbers: Pixels, measured: Mask) -> npt.NDArray[np.uint8]:
    """Class codes as they are, 0 for nodata."""
    return np.where(measured, numbers, 0).astype(np.uint8)


CLASSES = Scaling(
    dtype=np.dtype(np.uint8), resampling="nearest", measured=classes_measured, convert=classes, plain=True
)
"""Scene classification and land cover: nearest neighbour, no scaling."""
