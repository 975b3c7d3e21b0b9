"""What the pixels of a chip add to the statistics of its shard: those that were measured and show the ground."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from croma.chip import Chip
from croma.raster.quality import spread
from croma.raster.radiometry import SATURATED
from croma.sensors import SENTINEL_2_L2A, Role
from croma.shards.card import BandStatistics, measure

Mask = npt.NDArray[np.bool_]


def chip_statistics(chip: Chip, clear: Mask | None) -> dict[Role, BandStatistics]:
    """Statistics of a chip by sensor, bands in the order of `croma.sensors`.

    Args:
        chip: in stored units.
        clear: which pixels of 20 m show the ground; None where nobody knows, and then all are taken.
    """
    optical = []
    for i, band in enumerate(SENTINEL_2_L2A.bands):
        pixels = chip.optical[band.resolution][SENTINEL_2_L2A.at(band.resolution).index(i)]
        good = (pixels != 0) & (pixels != SATURATED)
        optical.append(pixels[good if clear is None else good & at(clear, pixels.shape[0])])
    radar = [channel[~np.isnan(channel)] for channel in chip.radar]
    return {"optical": measure("optical", optical), "radar": measure("radar", radar)}


def merged(parts: Iterable[dict[Role, BandStatistics]]) -> dict[Role, BandStatistics]:
    """The statistics of several chips together. Sums are taken in the given order, so that they repeat."""
    total: dict[Role, BandStatistics] = {}
    for part in parts:
        for role, statistics in part.items():
            total[role] = total[role].merge(statistics) if role in total else statistics
    return total


def at(clear: Mask, size: int) -> Mask:
    """A mask of 20 m pixels for a band of `size` pixels: a coarser pixel is clear if all of it is."""
    if size >= clear.shape[0]:
        return spread(clear, size)
    times = clear.shape[0] // size
    whole = clear.reshape(size, times, size, times).all(axis=(1, 3))
    return np.asarray(whole)
