"""Scenes made of real Cloud-Optimized GeoTIFFs in a temporary folder."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.transform import Affine

from croma.catalog.scene import Asset, Scene
from croma.chip import chip_id
from croma.grid import Cell
from croma.pairing import Pair
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A

Pixels = npt.NDArray[Any]


def write_tiff(
    path: Path,
    pixels: Pixels,
    *,
    left: float = 600_000,
    top: float = 5_400_000,
    resolution: float = 10,
    epsg: int | None = 32633,
    nodata: float | None = None,
    transform: Affine | None = None,
    blocksize: int = 256,
    driver: str = "COG",
    **options: Any,
) -> Path:
    """Write one band as a Cloud-Optimized GeoTIFF: deflate, with a predictor, as providers do."""
    height, width = pixels.shape
    options = {"compress": "deflate", "predictor": 3 if pixels.dtype.kind == "f" else 2, **options}
    if driver == "COG":
        options |= {"blocksize": blocksize, "overviews": "NONE"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver=driver,
        height=height,
        width=width,
        count=1,
        dtype=pixels.dtype,
        crs=epsg and f"EPSG:{epsg}",
        transform=transform or Affine(resolution, 0, left, 0, -resolution, top),
        nodata=nodata,
        **options,
    ) as dataset:
        dataset.write(pixels, 1)
    return path


def noise(seed: int, dtype: str, height: int, width: int) -> Pixels:
    """Pixels of noise in the range of a sensor: class codes, reflectance or linear power."""
    rng = np.random.default_rng(seed)
    if dtype == "uint8":
        return rng.integers(1, 12, (height, width), np.uint8)
    if dtype == "uint16":
        return rng.integers(1, 10_000, (height, width), np.uint16)
    return rng.gamma(2, 0.05, (height, width)).astype(np.float32) + np.float32(1e-4)


def block_range(path: Path, row: int, col: int) -> tuple[int, int]:
    """Offset and size in bytes of a block of a TIFF file."""
    with rasterio.open(path) as dataset:
        offset, size = (
            dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=1) for what in ("OFFSET", "SIZE")
        )
    return int(offset), int(size)


def damage(path: Path, row: int, col: int) -> None:
    """Overwrite the middle of a compressed block with noise."""
    offset, size = block_range(path, row, col)
    data = bytearray(path.read_bytes())
    start = offset + size // 3
    data[start : start + size // 3] = np.random.default_rng(0).bytes(size // 3)
    path.write_bytes(data)


def make_scene(role: str, hrefs: Mapping[str, Path | str], name: str = "", **fields: Any) -> Scene:
    """A scene with these files as assets."""
    offset = fields.pop("offset", 0.0)
    return Scene.model_validate(
        {
            "id": name or f"{role}-scene",
            "collection": {"radar": "sentinel-1-rtc", "optical": "sentinel-2-l2a"}.get(role, "esa-worldcover"),
            "role": role if role in ("radar", "optical") else None,
            "time": datetime(2021, 6, 23, 10, 10, tzinfo=UTC),
            "geometry": {"type": "Polygon", "coordinates": []},
            "epsg": 32633,
            "assets": {
                band: Asset(href=str(href), offset=offset if band != "SCL" else 0.0) for band, href in hrefs.items()
            },
            **fields,
        }
    )


LEFT, TOP = 600_000, 5_400_000
SIZE = 24


def write_optical(folder: Path, name: str = "S2", seed: int = 0, pixels: int = 120, **options: Any) -> dict[str, Path]:
    """All bands and the scene classification (vegetation everywhere) of an optical scene of `pixels` of 10 m."""
    files = {}
    for i, band in enumerate(SENTINEL_2_L2A.bands):
        side = pixels * 10 // band.resolution
        image = noise(100 * seed + i, "uint16", side, side) // 2 + 2000
        path = folder / name / f"{band.name}.tif"
        files[band.name] = write_tiff(path, image, resolution=band.resolution, nodata=0, **options)
    classes = np.full((pixels // 2, pixels // 2), 4, np.uint8)
    files["SCL"] = write_tiff(folder / name / "SCL.tif", classes, resolution=20, **options)
    return files


def write_radar(folder: Path, name: str = "S1", seed: int = 0, pixels: int = 120, **options: Any) -> dict[str, Path]:
    """Both channels of a radar scene in linear power."""
    return {
        band.name: write_tiff(
            folder / name / f"{band.name}.tif",
            noise(1000 + 100 * seed + i, "float32", pixels, pixels),
            nodata=-32768,
            **options,
        )
        for i, band in enumerate(SENTINEL_1_RTC.bands)
    }


def edit(path: Path, change: Callable[[Pixels], None]) -> None:
    """Change the pixels of a file in place."""
    with rasterio.open(path) as dataset:
        pixels, profile = dataset.read(1), dataset.profile
    change(pixels)
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(pixels, 1)


def make_pair(radar: Scene, optical: Scene, column: int = 0, row: int = 0, labels: Sequence[str] = ()) -> Pair:
    """The pair of two scenes at a place counted in lattice steps from the corner of the files."""
    cell = Cell(32633, LEFT + 60 * column, TOP - 60 * row)
    chip = f"{chip_id(cell, optical.time, radar.id, optical.id)}"
    return Pair(
        chip=chip, cell=cell, radar=radar.id, optical=optical.id, labels=tuple(labels), gap_hours=gap(radar, optical)
    )


def gap(radar: Scene, optical: Scene) -> float:
    """Hours from the optical to the radar time."""
    return (radar.time - optical.time).total_seconds() / 3600
