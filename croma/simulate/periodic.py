"""Noise that belongs to pixels of the ground: overlapping files of one pass hold the same numbers."""

import numpy as np

from croma.grid import GeoBox
from croma.simulate.noise import Floats


def under(block: Floats, box: GeoBox, shift: int = 0) -> Floats:
    """A square block repeated over the plane from the origin of the CRS, cut out under `box`; shape (height, width).

    `shift` moves it, so that one block serves several bands.
    """
    size = block.shape[0]
    row = round(-box.top / box.resolution) + shift
    column = round(box.left / box.resolution) + 7 * shift
    rolled = np.roll(block, (-(row % size), -(column % size)), (0, 1))
    repeats = -(-box.height // size), -(-box.width // size)
    return np.tile(rolled, repeats)[: box.height, : box.width]
