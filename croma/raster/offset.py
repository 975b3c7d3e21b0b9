"""Whether Sentinel-2 numbers still carry the offset of processing baseline 04.00, by what the pixels show.

The difference of two bands does not know the offset, so it finds vegetation either way: bright in the near infrared,
dark in red. The red of vegetation then tells: a few hundredths of reflectance, or that and 0.1 more.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio

from croma.raster.radiometry import SATURATED
from croma.raster.read import Signer
from croma.raster.rio import ENVIRONMENT, translated

Pixels = npt.NDArray[Any]

SIDE = 700
"""Pixels of a whole scene that is looked at; from its overviews."""

_VEGETATED = 2000
"""Near infrared minus red, reflectance × 10,000. Soil, towns, water, snow and cloud stay well below."""

_ENOUGH = 0.005
"""Share of the measured pixels that must be vegetation for its red to count."""

_RED, _WHITE = 900, 2000
"""Vegetation reflects less than 0.09 in red, and with the offset left in it cannot be below. Above 0.2 it is cloud."""

_DARK = 800
"""With the offset left in, hardly a pixel is so dark: it would reflect less than −0.02."""


def offset_left_in(red: Pixels, infrared: Pixels) -> bool | None:
    """Whether the offset of +1000 is still in the numbers; None where the pixels cannot tell.

    Args:
        red: B04 as numbers of reflectance × 10,000, any shape, 0 is nodata.
        infrared: B08 of the same pixels.
    """
    measured = (red != 0) & (infrared != 0) & (red != SATURATED) & (infrared != SATURATED)
    if not measured.any():
        return None
    reds, infrareds = red[measured].astype(np.int32), infrared[measured].astype(np.int32)
    if np.percentile(np.minimum(reds, infrareds), 1) < _DARK:
        return False
    vegetated = infrareds - reds > _VEGETATED
    low = np.percentile(reds[vegetated], 10) if vegetated.mean() >= _ENOUGH else _WHITE
    return None if low >= _WHITE else bool(low >= _RED)


def read_offset_left_in(red: str, infrared: str, signer: Signer) -> bool | None:
    """`offset_left_in` of whole files, seen from afar.

    Args:
        red: unsigned address of B04.
        infrared: unsigned address of B08.
        signer: signs addresses.

    Raises:
        UnusableError: a file cannot be read.
        TransientError: its server does not answer.
    """
    with translated(), rasterio.Env(**ENVIRONMENT):
        return offset_left_in(*(_seen_from_afar(signer.sign(href)) for href in (red, infrared)))


def _seen_from_afar(href: str) -> Pixels:
    with rasterio.open(href, sharing=False) as file:
        shape = (min(file.height, SIDE), min(file.width, SIDE))
        pixels: Pixels = file.read(1, out_shape=shape)
        return pixels
