"""Ways to read chips from a scene. Each reads 12 optical bands and 2 radar channels at native resolution.

Each returns the sum of all optical pixels, so that all can be seen to read the same.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from tempfile import TemporaryDirectory

import numpy as np
import rasterio
from rasterio.windows import from_bounds

from benchmarks.full_scene import EPSG, LEFT, METRES, TOP
from croma.building.fill import fill
from croma.building.shard_plan import ShardPlan
from croma.building.spec import Quality
from croma.catalog.scene import Asset, Scene
from croma.grid import Cell
from croma.pairing import Pair
from croma.raster.cog import CogFile
from croma.raster.header import locate
from croma.raster.radiometry import scaling
from croma.raster.read import Unsigned, Want, read_wants
from croma.raster.rio import ENVIRONMENT
from croma.raster.source import open_source
from croma.raster.tiff import read_layout
from croma.raster.window import blocks_of
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A

SENSORS = (SENTINEL_2_L2A, SENTINEL_1_RTC)
BANDS = [(sensor, band) for sensor in SENSORS for band in sensor.bands]


@dataclass(frozen=True)
class Job:
    """What to read."""

    base: str
    """Folder or address of the files."""
    size: int
    """Pixels of 10 m along a side of a chip."""
    cells: tuple[tuple[int, int], ...]
    """Left and top of every chip."""
    metres: int = METRES
    """Side of the scene."""

    def href(self, band: str) -> str:
        """Address of a band."""
        return f"{self.base}/{band}.tif"

    def places(self) -> list[Cell]:
        """Cells of the chips."""
        return [Cell(EPSG, left, top) for left, top in self.cells]

    def scene(self, role: str) -> Scene:
        """The radar or the optical half of the scene."""
        (sensor,) = [sensor for sensor in SENSORS if sensor.role == role]
        return Scene.model_validate(
            {
                "id": role,
                "collection": sensor.name,
                "role": role,
                "time": datetime(2021, 6, 23, tzinfo=UTC),
                "geometry": {"type": "Polygon", "coordinates": []},
                "epsg": EPSG,
                "assets": {band.name: Asset(href=self.href(band.name)) for band in sensor.bands},
            }
        )


def ours(job: Job) -> int:
    """`croma.raster.read`: chips in stored units."""
    wants = []
    for sensor, band in BANDS:
        scene, side = job.scene(sensor.role), job.size * 10 // band.resolution
        outs = np.zeros((len(job.cells), side, side), sensor.dtype)
        for cell, out in zip(job.places(), outs, strict=True):
            wants.append(Want(scene, band.name, cell.geobox(job.size, band.resolution), out, scaling(sensor.role)))
    with ThreadPoolExecutor(16) as pool:
        results = read_wants(wants, Unsigned(), pool)
    assert set(results) == {"window"}
    return sum(int(want.out.sum(dtype=np.int64)) for want in wants if want.scene.role == "optical")


def ours_to_shard(job: Job) -> int:
    """`croma.building.fill`: from a plan to a shard with its card, quality and statistics."""
    radar, optical = job.scene("radar"), job.scene("optical")
    pairs = tuple(
        Pair(chip=str(cell), cell=cell, radar=radar.id, optical=optical.id, gap_hours=0) for cell in job.places()
    )
    plan = ShardPlan(
        split="train",
        chip_size=job.size,
        quality=Quality(),
        labels=None,
        pairs=pairs,
        scenes=(radar, optical),
    )
    with TemporaryDirectory() as folder:
        card = fill(plan, folder)
    assert card.samples == len(pairs), card.rejections
    return int(sum(card.statistics["optical"].total))


def floor(job: Job) -> int:
    """Fetch and decode every block that is needed once, on all cores; cut nothing."""

    def decode(number: int) -> None:
        _, band = BANDS[number]
        source = open_source(job.href(band.name))
        file = CogFile(source, read_layout(source))
        windows = [locate(file.header, cell.geobox(job.size, band.resolution)) for cell in job.places()]
        blocks = sorted(blocks_of(file.header, [window for window in windows if window]))
        assert not file.read_blocks(blocks, lambda *_: None)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(decode, range(len(BANDS))))
    return 0


def stackstac_per_chip(job: Job) -> int:
    """stackstac.stack for every chip and resolution, as its documentation shows."""
    import stackstac

    total = 0
    for cell in job.places():
        for resolution, dtype, names in _groups():
            left, bottom, right, top = cell.bounds(job.size)
            assets = {
                name: {
                    "href": job.href(name),
                    "proj:transform": [resolution, 0, LEFT, 0, -resolution, TOP],
                    "proj:shape": [job.metres // resolution] * 2,
                }
                for name in names
            }
            properties = {"datetime": "2021-06-23T00:00:00Z", "proj:epsg": EPSG}
            item = {"id": "scene", "type": "Feature", "properties": properties, "assets": assets}
            stack = stackstac.stack(
                [item],
                assets=names,
                epsg=EPSG,
                resolution=resolution,
                bounds=(left, bottom, right, top),
                dtype=np.dtype(dtype),
                fill_value=np.dtype(dtype).type(0),
                rescale=False,
                xy_coords=False,
            )
            pixels = stack.data.compute()
            total += int(pixels.sum(dtype=np.int64)) if dtype == "uint16" else 0
    return total


def odc_per_chip(job: Job) -> int:
    """odc.stac.load for every chip and resolution, on as many threads as it likes."""
    import odc.stac
    import pystac
    from odc.geo.geobox import GeoBox

    odc.stac.configure_rio(cloud_defaults=True)
    items = {}
    for resolution, dtype, names in _groups():
        item = pystac.Item("scene", None, None, datetime(2021, 6, 23, tzinfo=UTC), {"proj:code": f"EPSG:{EPSG}"})
        item.stac_extensions.append("https://stac-extensions.github.io/projection/v2.0.0/schema.json")
        item.geometry = {"type": "Polygon", "coordinates": [[[15, 48], [18, 48], [18, 50], [15, 50], [15, 48]]]}
        item.bbox = [15, 48, 18, 50]
        for name in names:
            place = {
                "proj:transform": [resolution, 0, LEFT, 0, -resolution, TOP],
                "proj:shape": [job.metres // resolution] * 2,
            }
            item.add_asset(
                name, pystac.Asset(job.href(name), media_type="image/tiff", roles=["data"], extra_fields=place)
            )
        items[resolution, dtype] = item
    total = 0
    for cell in job.places():
        for resolution, dtype, names in _groups():
            left, bottom, right, top = cell.bounds(job.size)
            box = GeoBox.from_bbox((left, bottom, right, top), f"EPSG:{EPSG}", resolution=resolution, tight=True)
            nodata = 0 if dtype == "uint16" else -32768
            data = odc.stac.load(
                [items[resolution, dtype]], bands=list(names), geobox=box, dtype=dtype, nodata=nodata, pool=8
            )
            if dtype == "uint16":
                total += sum(int(data[name].values.sum(dtype=np.int64)) for name in names)
    return total


def rasterio_per_chip(job: Job) -> int:
    """rasterio.open for every chip and band, with GDAL tuned for the network."""
    total = 0
    with rasterio.Env(**ENVIRONMENT):
        for cell in job.places():
            for sensor, band in BANDS:
                with rasterio.open(job.href(band.name)) as dataset:
                    pixels = dataset.read(1, window=from_bounds(*cell.bounds(job.size), dataset.transform))
                total += int(pixels.sum(dtype=np.int64)) if sensor.role == "optical" else 0
    return total


def async_tiff_by_scene(job: Job) -> int:
    """async-tiff with obstore: headers once, every block of all chips once, decoded on its own threads."""
    from async_tiff import TIFF
    from async_tiff.store import HTTPStore, LocalStore

    http = job.base.startswith("http")
    store = HTTPStore(job.base, client_options={"allow_http": True}) if http else LocalStore(job.base)

    async def read(number: int) -> int:
        sensor, band = BANDS[number]
        tiff = await TIFF.open(f"{band.name}.tif", store=store, prefetch=32768)
        side = job.size * 10 // band.resolution
        corners = [((TOP - top) // band.resolution, (left - LEFT) // band.resolution) for left, top in job.cells]
        users: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for row, col in corners:
            for y in range(row // 512, (row + side - 1) // 512 + 1):
                for x in range(col // 512, (col + side - 1) // 512 + 1):
                    users.setdefault((x, y), []).append((row, col))
        chips = {
            corner: np.zeros((side, side), np.uint16 if sensor.role == "optical" else np.float32) for corner in corners
        }
        blocks = sorted(users, key=lambda place: (place[1], place[0]))
        for start in range(0, len(blocks), 16):
            tiles = await tiff.fetch_tiles(blocks[start : start + 16], 0)
            for (x, y), tile in zip(
                blocks[start : start + 16], await asyncio.gather(*[t.decode() for t in tiles]), strict=True
            ):
                pixels = np.asarray(tile).reshape(512, 512)
                for row, col in users[x, y]:
                    _paste(chips[row, col], row, col, pixels, y * 512, x * 512)
        return sum(int(chip.sum(dtype=np.int64)) for chip in chips.values()) if sensor.role == "optical" else 0

    async def everything() -> int:
        return sum(await asyncio.gather(*[read(number) for number in range(len(BANDS))]))

    return asyncio.run(everything())


def _paste(target: np.ndarray, row: int, col: int, pixels: np.ndarray, top: int, left: int) -> None:
    first, last = max(row, top), min(row + target.shape[0], top + 512)
    west, east = max(col, left), min(col + target.shape[1], left + 512)
    target[first - row : last - row, west - col : east - col] = pixels[
        first - top : last - top, west - left : east - left
    ]


def _groups() -> list[tuple[int, str, list[str]]]:
    """Bands that make one array: equal resolution and type."""
    found: dict[tuple[int, str], list[str]] = {}
    for sensor, band in BANDS:
        found.setdefault((band.resolution, "uint16" if sensor.role == "optical" else "float32"), []).append(band.name)
    return [(resolution, dtype, names) for (resolution, dtype), names in found.items()]


READERS: Mapping[str, Callable[[Job], int]] = {
    "floor": floor,
    "ours": ours,
    "ours to shard": ours_to_shard,
    "async-tiff by scene": async_tiff_by_scene,
    "stackstac per chip": stackstac_per_chip,
    "odc-stac per chip": odc_per_chip,
    "rasterio per chip": rasterio_per_chip,
}
PER_CHIP = {name for name in READERS if name.endswith("per chip")}
"""Readers to which chips are strangers: a few tell the pace of all."""
