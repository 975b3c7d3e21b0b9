"""What the pixels of a chip add to the statistics of its shard: those that were measured and show the ground."""

import numpy as np
import numpy.typing as npt

from croma.chip import Chip
from croma.raster.quality import spread
from croma.raster.radiometry import SATURATED
from croma.sensors import SENTINEL_2_L2A, Role
from croma.shards.moments import Moments, moments

Mask = npt.NDArray[np.bool_]


def chip_moments(chip: Chip, clear: Mask | None) -> dict[Role, Moments]:
    """Moments of the pixels of a chip by sensor, bands in the order of `croma.sensors`.

    Args:
        chip: in stored units.
        clear: which pixels of 20 m show the ground; None where nobody knows, and then all are taken.
    """
    planes = {
        band: pixels
        for resolution, stored in chip.optical.items()
        for band, pixels in zip(SENTINEL_2_L2A.channels(resolution, len(stored)), stored, strict=True)
    }
    optical = []
    for pixels in (planes[band] for band in sorted(planes)):
        good = (pixels != 0) & (pixels != SATURATED)
        optical.append(pixels[good if clear is None else good & at(clear, pixels.shape[0])])
    radar = [channel[~np.isnan(channel)] for channel in chip.radar]
    return {"optical": moments("optical", optical), "radar": moments("radar", radar)}


def together(total: dict[Role, Moments], part: dict[Role, Moments]) -> dict[Role, Moments]:
    """The moments of both sets of pixels, by sensor."""
    return total | {role: total[role].plus(found) if role in total else found for role, found in part.items()}


def at(clear: Mask, size: int) -> Mask:
    """A mask of 20 m pixels for a band of `size` pixels: a coarser pixel is clear if all of it is."""
    if size >= clear.shape[0]:
        return spread(clear, size)
    times = clear.shape[0] // size
    whole = clear.reshape(size, times, size, times).all(axis=(1, 3))
    return np.asarray(whole)
