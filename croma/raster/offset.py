"""Whether Sentinel-2 numbers still carry the offset of processing baseline 04.00, by what the pixels show.

The difference of two bands does not know the offset, so it finds vegetation either way: bright in the near infrared,
dark in red. The red of vegetation then tells: a few hundredths of reflectance, or that and 0.1 more.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from croma.raster.radiometry import SATURATED

Pixels = npt.NDArray[Any]

_VEGETATED = 2000
"""Near infrared minus red, reflectance × 10,000. Soil, towns, water, snow and cloud stay well below."""

_ENOUGH = 0.005
"""Share of the measured pixels that must be vegetation for its red to count."""

_RED = 900
"""Dense vegetation reflects less than 0.09 in red; with the offset left in it cannot be below."""

_DARK = 700
"""With the offset left in, hardly a pixel is so dark: it would reflect less than −0.03."""


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
    vegetated = infrareds - reds > _VEGETATED
    if vegetated.mean() >= _ENOUGH:
        return bool(np.percentile(reds[vegetated], 10) >= _RED)
    return False if np.percentile(np.minimum(reds, infrareds), 1) < _DARK else None
