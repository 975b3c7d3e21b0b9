"""The ground of both columns on any other grid, by nearest pixel: for scenes across the zone border, and for maps."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from croma.grid import GeoBox
from croma.simulate.frame import NODE, Column, transformer
from croma.simulate.ground import Land
from croma.simulate.noise import enlarge

Lands = Mapping[Column, Land]


def gather(lands: Lands, box: GeoBox) -> tuple[Land, npt.NDArray[np.bool_]]:
    """The ground under the pixels of `box` (any CRS and pixel size, square pixels), and where any is known.

    The eastern column is asked first: where both know a place, it answers.
    """
    return gather_grid(lands, box.epsg, (box.left, box.top), (box.resolution, -box.resolution), box)


def gather_grid(
    lands: Lands, epsg: int, corner: tuple[float, float], step: tuple[float, float], box: GeoBox
) -> tuple[Land, npt.NDArray[np.bool_]]:
    """`gather` for pixels of different width and height: `corner` and `step` are (x, y); `box` gives the shape."""
    shape = box.height, box.width
    units, texture = np.zeros(shape, np.uint16), np.zeros(shape, np.int8)
    known = np.zeros(shape, bool)
    for column in ("west", "east"):
        land = lands[column]
        row, col = _places(land.box, epsg, corner, step, shape)
        inside = (row >= 0) & (row < land.box.height) & (col >= 0) & (col < land.box.width)
        place = (row * land.box.width + col)[inside]
        units[inside] = land.units.ravel().take(place)
        texture[inside] = land.texture.ravel().take(place)
        known |= inside
    return Land(box=box, units=units, texture=texture), known


def _places(
    target: GeoBox, epsg: int, corner: tuple[float, float], step: tuple[float, float], shape: tuple[int, int]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Row and column in `target` of each pixel of a grid, both of `shape`."""
    nodes = [np.arange(-(-count // NODE) + 1) * NODE + 0.5 for count in shape]
    x, y = np.meshgrid(corner[0] + nodes[1] * step[0], corner[1] + nodes[0] * step[1])
    east, north = transformer(epsg, target.epsg).transform(x, y)
    col = enlarge(((east - target.left) / target.resolution).astype(np.float32), NODE, *shape)
    row = enlarge(((target.top - north) / target.resolution).astype(np.float32), NODE, *shape)
    return np.floor(row).astype(np.int32), np.floor(col).astype(np.int32)
