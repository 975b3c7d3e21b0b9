"""Writing Cloud-Optimized GeoTIFFs: tiled, deflated with a predictor, one atomic file."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.transform import Affine

BLOCK = 512


def write_cog(
    path: Path,
    pixels: npt.NDArray[Any],
    *,
    epsg: int,
    transform: tuple[float, float, float, float, float, float],
    nodata: float | None,
) -> None:
    """Write `pixels`, shape (height, width), as a COG; the file appears whole or not at all.

    Overviews are left out: chips are cut at full resolution, and they would add a third to time and size.

    Args:
        path: Its folder is made where it is missing.
        pixels: uint8, uint16 or float32.
        epsg: CRS of the file.
        transform: Affine coefficients in rasterio's order (a, b, c, d, e, f).
        nodata: Written to the file; None leaves it undeclared.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    profile = {
        "driver": "COG",
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "count": 1,
        "dtype": pixels.dtype.name,
        "crs": f"EPSG:{epsg}",
        "transform": Affine(*transform),
        "nodata": nodata,
        "compress": "DEFLATE",
        "level": 1,
        "predictor": "NO" if pixels.dtype == np.uint8 else "YES",
        "blocksize": BLOCK,
        "overviews": "NONE",
    }
    with rasterio.open(partial, "w", **profile) as file:
        file.write(pixels, 1)
    partial.replace(path)
