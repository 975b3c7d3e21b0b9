"""Bands of a benchmark's files as the twelve that a dataset has."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from croma.errors import UnusableError
from croma.sensors import OPTICAL_CHANNELS, RADAR_CHANNELS, SENTINEL_2_L2A

L1C = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""The thirteen bands of Level-1C in the order of their wavelengths."""

WANTED = tuple(band.name for band in SENTINEL_2_L2A.bands)


def twelve(pixels: npt.NDArray[Any], names: Sequence[str], *, scale: float = 1.0) -> npt.NDArray[np.uint16]:
    """Reflectance × 10,000 of the twelve bands of a dataset, (12, height, width), 0 for nodata.

    B10, which sees the upper air alone and is not in Level-2A, is left out. A band that the file has not is nodata.

    Args:
        pixels: (bands, height, width); 0 and what is not finite is nodata.
        names: of its bands.
        scale: makes them reflectance × 10,000.

    Raises:
        UnusableError: there are not as many bands as names.
    """
    if len(pixels) != len(names):
        raise UnusableError(f"{len(pixels)} bands where {len(names)} are expected ({' '.join(names)})")
    found = np.zeros((OPTICAL_CHANNELS, *pixels.shape[1:]), np.uint16)
    for channel, name in enumerate(WANTED):
        if name not in names:
            continue
        band = pixels[names.index(name)]
        measured = np.isfinite(band) & (band != 0)
        value = np.floor(np.where(measured, band, 0).astype(np.float64) * scale + 0.5)
        found[channel] = np.where(measured, np.clip(value, 1, 65_535), 0)
    return found


def two(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """VV and VH in decibels, (2, height, width), NaN for nodata.

    Raises:
        UnusableError: there are not two bands.
    """
    if len(pixels) != RADAR_CHANNELS:
        raise UnusableError(f"{len(pixels)} bands of radar where VV and VH are expected")
    return np.where(np.isfinite(pixels), pixels, np.nan).astype(np.float32)
