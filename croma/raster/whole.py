"""Small local images read whole: the files of published benchmarks."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import transform as to_crs

from croma.errors import UnusableError
from croma.grid import utm_epsg
from croma.raster.rio import translated

# Benchmarks without a georeference are no surprise here.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


class Ground(NamedTuple):
    """Where an image lies."""

    epsg: int
    """Of the UTM zone of its middle."""
    left: float
    """Metres in that zone, of its top left corner."""
    top: float
    longitude: float
    """Degrees, of its middle."""
    latitude: float
    crs: str
    """Its own."""
    transform: tuple[float, ...]
    """Its own, six affine coefficients in rasterio's order."""


class Whole(NamedTuple):
    """All bands of a file."""

    pixels: npt.NDArray[Any]
    """(bands, height, width), in the file's type."""
    names: tuple[str | None, ...]
    """What the file calls its bands."""
    ground: Ground | None
    """None for a file without a georeference."""


def read_whole(path: Path) -> Whole:
    """All bands of the raster file at `path`.

    Raises:
        UnusableError: there is none, or it cannot be read.
    """
    if not path.is_file():
        raise UnusableError(f"{path}: there is no such file")
    with translated(), rasterio.open(path) as file:
        return Whole(file.read(), tuple(file.descriptions), _ground(file))


def _ground(file: rasterio.DatasetReader) -> Ground | None:
    if file.crs is None or file.transform == Affine.identity():
        return None
    degrees = CRS.from_epsg(4326)
    middle = file.transform * (file.width / 2, file.height / 2)
    (longitude,), (latitude,) = to_crs(file.crs, degrees, [middle[0]], [middle[1]])
    code, corner = file.crs.to_epsg(), (file.transform.c, file.transform.f)
    if code is None or not (32601 <= code <= 32660 or 32701 <= code <= 32760):
        code = utm_epsg(longitude, latitude)
        (x,), (y,) = to_crs(file.crs, CRS.from_epsg(code), [corner[0]], [corner[1]])
        corner = x, y
    own = file.crs.to_string() if len(file.crs.to_string()) < 40 else "see the file"
    return Ground(code, *corner, longitude, latitude, own, tuple(file.transform)[:6])
