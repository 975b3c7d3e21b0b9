"""One full-size scene of noise on smooth ground, as providers deliver it: 12 optical bands, 2 radar channels."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.transform import Affine
from scipy.ndimage import zoom

from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A, Band

METRES = 109_800
"""Side of a Sentinel-2 tile."""
LEFT, TOP, EPSG = 600_000, 5_400_000, 32633


def make_scene(folder: Path, metres: int = METRES) -> None:
    """Write the bands that are missing in `folder`: DEFLATE with predictor, blocks of 512.

    Args:
        folder: one file a band; about 1.5 GB for a full scene.
        metres: side of the scene.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def there(band: Band) -> bool:
        return (folder / f"{band.name}.tif").exists()

    for number, band in enumerate(SENTINEL_2_L2A.bands):
        if there(band):
            continue
        side = metres // band.resolution
        ground = 1500 + 400 * _smooth(side, number) + 25 * _grain(side, 100 + number)
        _write(folder / f"{band.name}.tif", ground.clip(1, 9999).astype(np.uint16), band.resolution, 0, 2)
    for number, band in enumerate(SENTINEL_1_RTC.bands):
        if there(band):
            continue
        side = metres // band.resolution
        power = 10 ** ((-12 + 3 * _smooth(side, 50 + number) + 2 * _grain(side, 150 + number)) / 10)
        _write(folder / f"{band.name}.tif", power.astype(np.float32), band.resolution, -32768, 3)


def _smooth(side: int, seed: int) -> npt.NDArray[np.float32]:
    coarse = np.random.default_rng(seed).normal(size=(side // 60 + 2,) * 2).astype(np.float32)
    return np.asarray(zoom(coarse, 60, order=1)[:side, :side])


def _grain(side: int, seed: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((side, side), np.float32)


def _write(path: Path, pixels: npt.NDArray[np.generic], resolution: int, nodata: float, predictor: int) -> None:
    unfinished = path.with_suffix(".part.tif")
    profile = {
        "driver": "GTiff",
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
        "predictor": predictor,
        "num_threads": "all_cpus",
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "count": 1,
        "dtype": pixels.dtype,
        "nodata": nodata,
        "crs": f"EPSG:{EPSG}",
        "transform": Affine(resolution, 0, LEFT, 0, -resolution, TOP),
    }
    with rasterio.open(unfinished, "w", **profile) as dataset:
        dataset.write(pixels, 1)
    unfinished.rename(path)
