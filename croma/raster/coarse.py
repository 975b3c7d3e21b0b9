"""A class layer seen from afar: the commonest class of many places, from the layer's overviews.

Meant for choosing places, not for labels: each place is judged by a grid of samples.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import rasterio
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.windows import Window

from croma.grid import PIXEL
from croma.places import Floats, Integers, Places
from croma.raster.read import Signer
from croma.raster.rio import ENVIRONMENT, translated

SAMPLES = 5
"""Samples along each side of a place."""

Classes = npt.NDArray[np.uint8]


def commonest_classes(hrefs: Sequence[str], places: Places, size: int, signer: Signer) -> Integers:
    """The commonest class of each place in the layer's tiles; 0 where there is none. Of equally common the lowest code.

    Args:
        hrefs: unsigned addresses of the tiles; where they overlap the first one with a class counts.
        places: corners of chips.
        size: of the chips, in pixels of 10 m.
        signer: signs addresses.

    Raises:
        UnusableError: a tile cannot be read.
        TransientError: its server does not answer.
    """
    samples = np.zeros((len(places.left), SAMPLES**2), np.uint8)
    spacing = size * PIXEL / SAMPLES
    for href in hrefs:
        with translated(), rasterio.Env(**ENVIRONMENT), rasterio.open(signer.sign(href)) as tile:
            for epsg in np.unique(places.epsg):
                here = places.epsg == epsg
                x, y = _grid(places.take(here), spacing)
                to_tile = Transformer.from_crs(int(epsg), tile.crs, always_xy=True)
                found = _look_up(tile, *to_tile.transform(x, y), spacing)
                samples[here] = np.where(samples[here] == 0, found, samples[here])
    return _commonest(samples)


def _grid(places: Places, spacing: float) -> tuple[Floats, Floats]:
    """Middles of the parts of each place: x and y in metres, of shape (n, SAMPLES²)."""
    steps = (np.arange(SAMPLES) + 0.5) * spacing
    right, down = (axis.ravel() for axis in np.meshgrid(steps, steps))
    return places.left[:, None] + right, places.top[:, None] - down


def _look_up(tile: rasterio.DatasetReader, x: Floats, y: Floats, spacing: float) -> Classes:
    """Classes at points in the tile's CRS, read at about the resolution of `spacing` metres; 0 outside the tile."""
    column, row = (~tile.transform) * (x, y)
    inside = (column >= 0) & (column < tile.width) & (row >= 0) & (row < tile.height)
    classes = np.zeros(x.shape, np.uint8)
    if not inside.any():
        return classes
    left, top = int(column[inside].min()), int(row[inside].min())
    width, height = int(column[inside].max()) + 1 - left, int(row[inside].max()) + 1 - top
    metres = 111_320.0 if tile.crs.is_geographic else 1.0
    shrink = max(1, int(spacing / (abs(tile.transform.e) * metres)))
    shape = (-(-height // shrink), -(-width // shrink))
    window = Window(left, top, width, height)
    pixels = tile.read(1, window=window, out_shape=shape, resampling=Resampling.nearest, out_dtype="uint8")
    rows = ((row[inside] - top) * shape[0] / height).astype(np.int64)
    columns = ((column[inside] - left) * shape[1] / width).astype(np.int64)
    classes[inside] = pixels[np.minimum(rows, shape[0] - 1), np.minimum(columns, shape[1] - 1)]
    return classes


def _commonest(samples: Classes) -> Integers:
    codes = np.unique(samples[samples != 0])
    if len(codes) == 0:
        return np.zeros(len(samples), np.int64)
    counts = np.stack([(samples == code).sum(axis=1) for code in codes])
    return np.where(counts.max(axis=0) > 0, codes[counts.argmax(axis=0)], 0).astype(np.int64)
