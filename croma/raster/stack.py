"""Bringing pixels of any grid onto the chip grid, through stackstac. The only file that knows stackstac.

What is handed to it is a window of the file that was already fetched, with its measured pixels marked, so that neither
signatures nor read errors pass through it, and so that a pixel is believed only if all pixels it is made of were
measured: GDAL alone would weigh nodata out of an edge and call the rest a measurement.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import stackstac
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.warp import transform as reproject

from croma.errors import UnusableError
from croma.grid import GeoBox
from croma.raster.header import Header, Window

Method = Literal["nearest", "bilinear"]

_WHOLE = 1 - 1e-5
"""Weight of measured pixels from which a resampled one is believed: all of it, but for rounding."""


class Resampled(NamedTuple):
    """Pixels on the chip grid."""

    pixels: npt.NDArray[np.float32]
    """(height, width). Meaningless where not measured."""
    measured: npt.NDArray[np.bool_]
    """Whether every pixel of the file that went into a pixel was measured."""


def reach(header: Header, box: GeoBox) -> Window | None:
    """The window of a file that resampling onto `box` can need; None where the file does not meet it.

    Raises:
        UnusableError: the file does not say where on Earth it is.
    """
    if not header.crs:
        raise UnusableError("the file has no coordinate reference system")
    xs, ys = _outline(box)
    try:
        xs, ys = reproject(f"EPSG:{box.epsg}", header.crs, xs, ys)
    except RasterioError as error:
        raise UnusableError(f"the file's coordinate reference system is of no use: {error}") from None
    if not np.isfinite([xs, ys]).all():
        return None
    inverse = ~Affine(*header.transform)
    cols, rows = zip(*(inverse * point for point in zip(xs, ys, strict=True)), strict=True)
    # Twice the size of a target pixel in source pixels: what a bilinear kernel reaches, and one more for rounding.
    margin = 2 * max(int((max(cols) - min(cols)) / box.width), int((max(rows) - min(rows)) / box.height), 1) + 1
    row, col = int(np.floor(min(rows))) - margin, int(np.floor(min(cols))) - margin
    height, width = int(np.ceil(max(rows))) + margin - row, int(np.ceil(max(cols))) + margin - col
    window = Window(row, col, height, width).within(header.window)
    return window if window.area else None


def resample(
    header: Header,
    window: Window,
    pixels: npt.NDArray[Any],
    measured: npt.NDArray[np.bool_],
    box: GeoBox,
    method: Method,
) -> Resampled:
    """Bring a window of a file onto `box`.

    Args:
        header: of the file.
        window: inside the file; `reach` says which.
        pixels: of the window, (window.height, window.width).
        measured: which of them are measurements; the others never mix in.
        box: the grid wanted.
        method: bilinear for quantities, nearest for classes.
    """
    if method == "nearest":
        # Nothing is mixed, so that one plane tells both: 0 where nothing was measured, else one more than the class.
        [found] = _through_stackstac(header, window, [np.where(measured, pixels + np.float32(1), 0)], box, method)
        return Resampled(found - 1, found > 0)
    values = np.where(measured, pixels, 0)
    found, weight = _through_stackstac(header, window, [values, measured], box, method)
    return Resampled(found, weight > _WHOLE)


def _through_stackstac(
    header: Header, window: Window, planes: Sequence[npt.NDArray[Any]], box: GeoBox, method: Method
) -> npt.NDArray[np.float32]:
    """Planes of a window of a file on `box`: (planes, height, width), 0 beyond the window."""
    with _in_memory(header, window, [plane.astype(np.float32) for plane in planes]) as addresses:
        return _stack(addresses, box, method)


def _outline(box: GeoBox, points: int = 9) -> tuple[list[float], list[float]]:
    """A grid of points over `box`, its edges included, fine enough for the curvature of a chip in another CRS."""
    left, bottom, right, top = box.bounds
    xs, ys = np.meshgrid(np.linspace(left, right, points), np.linspace(bottom, top, points))
    return xs.ravel().tolist(), ys.ravel().tolist()


@contextmanager
def _in_memory(header: Header, window: Window, planes: Sequence[npt.NDArray[np.float32]]) -> Iterator[list[str]]:
    """Addresses of GeoTIFFs in memory, one for each plane of a window of a file."""
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": 1,
        "height": window.height,
        "width": window.width,
        "crs": header.crs,
        "transform": Affine(*header.transform) * Affine.translation(window.col, window.row),
    }
    files = [MemoryFile() for _ in planes]
    try:
        for file, plane in zip(files, planes, strict=True):
            with file.open(**profile) as dataset:
                dataset.write(plane, 1)
        yield [file.name for file in files]
    finally:
        for file in files:
            file.close()


def _stack(addresses: Sequence[str], box: GeoBox, method: Method) -> npt.NDArray[np.float32]:
    """One plane on `box` for every address: (planes, height, width)."""
    left, bottom, right, top = box.bounds
    place = {"proj:epsg": box.epsg, "proj:bbox": [left, bottom, right, top]}
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "window",
        "properties": {"datetime": "2000-01-01T00:00:00Z", **place},
        "assets": {str(number): {"href": address} for number, address in enumerate(addresses)},
    }
    # Without all of epsg, resolution and bounds stackstac makes up a grid of its own and does not say so.
    stack = stackstac.stack(
        [item],
        assets=list(item["assets"]),
        epsg=box.epsg,
        resolution=box.resolution,
        bounds=(left, bottom, right, top),
        resampling=Resampling[method],
        dtype=np.dtype(np.float32),
        fill_value=np.float32(0),
        rescale=False,
        xy_coords=False,
        properties=False,
        band_coords=False,
    )
    # It drops what it takes to lie elsewhere, and says nothing of that either.
    expected = (1, len(addresses), box.height, box.width)
    if stack.shape != expected:
        raise AssertionError(f"stackstac made {stack.shape} where {expected} was asked for")
    found: npt.NDArray[np.float32] = stack.data.compute(scheduler="synchronous", optimize_graph=False)[0]
    return found
