"""Pictures of a world, from its files: `python -m croma.simulate.quicklook WORLD docs/images`.

Makes the world in folder WORLD first if it is not there.
"""

import argparse
import io
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import rasterio
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image
from rasterio.warp import Resampling, reproject
from rasterio.windows import Window

from croma.simulate.landcover import CLASSES
from croma.simulate.optics import OFFSET, QUANTIFICATION
from croma.simulate.spec import DEMO
from croma.simulate.world import World, build_world

LOG = logging.getLogger(__name__)

Pixels = npt.NDArray[np.float32]
Item = dict[str, Any]

View = tuple[float, float, int]
"""Left and top in metres, and a side in pixels of 10 m."""

VIEW = 900
"""Side of the detail views, pixels of 10 m."""


def main() -> None:
    """Write all pictures."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    mpl.use("agg")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world", type=Path)
    parser.add_argument("out", type=Path)
    chosen = parser.parse_args()
    world = build_world(DEMO, chosen.world)
    chosen.out.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, Callable[[World], Figure]] = {
        "world-landcover": land_cover,
        "world-seasons": seasons,
        "world-radar": radar,
        "world-chips": chips,
    }
    for name, draw in pictures.items():
        path = chosen.out / f"{name}.png"
        _save(draw(world), path)
        LOG.info("%s %d kB", path, path.stat().st_size // 1000)


def land_cover(world: World) -> Figure:
    """The map of the world, both tiles of it, with its legend."""
    items = sorted(_items(world, "esa-worldcover"), key=lambda item: float(item["bbox"][0]))
    maps = [_read(world, item, "map")[::7, ::12] for item in items]
    figure = Figure(figsize=(9, 7.4), layout="constrained")
    axes = figure.subplots(1, len(maps), width_ratios=[part.shape[1] for part in maps], squeeze=False)[0]
    for axis, part, item in zip(axes, maps, items, strict=True):
        axis.imshow(painted(part), interpolation="nearest")
        axis.set_title(str(item["id"]).rsplit("_", 1)[-1], fontsize=8)
        axis.set_axis_off()
    present = sorted({int(code) for part in maps for code in np.unique(part)} - {0})
    handles = [Patch(color=f"#{CLASSES[code][0]}", label=f"{code} {CLASSES[code][1]}") for code in present]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def seasons(world: World) -> Figure:
    """One place on every date: natural colours, and what the scene classification says."""
    tile = _eastern(world)[0]["properties"]["s2:mgrs_tile"]
    found = [i for i in _eastern(world) if i["properties"]["s2:mgrs_tile"] == tile]
    figure = Figure(figsize=(7.8, 5.6), layout="constrained")
    for axis, item in zip(figure.subplots(2, 3).ravel(), _by_time(found), strict=False):
        axis.imshow(natural(world, item, _view(world, VIEW))[::2, ::2])
        facts = item["properties"]
        title = f"{facts['datetime'][:10]}  N{facts['s2:processing_baseline']}  cloud {facts['eo:cloud_cover']:.0f} %"
        axis.set_title(title, fontsize=8)
    return _bare(figure)


def radar(world: World) -> Figure:
    """The same place by radar: VV, VH and their ratio as red, green and blue."""
    found = [i for i in _items(world, "sentinel-1-rtc") if i["properties"]["sar:polarizations"] == ["VV", "VH"]]
    east = [i for i in found if i["properties"]["proj:epsg"] % 100 == 33 and len(_items_at(found, i)) == 2]
    figure = Figure(figsize=(7.8, 5.6), layout="constrained")
    for axis, item in zip(figure.subplots(2, 3).ravel(), _by_time(east), strict=False):
        axis.imshow(composite(world, item, _view(world, VIEW))[::2, ::2])
        facts = item["properties"]
        axis.set_title(f"{facts['datetime'][:16].replace('T', ' ')}  {facts['sat:orbit_state']}", fontsize=8)
    return _bare(figure)


def chips(world: World) -> Figure:
    """The purest places of each land cover: colours, infrared and radar of 1.2 km."""
    optical = min(_eastern(world), key=lambda item: float(item["properties"]["eo:cloud_cover"]))
    epsg, taken = optical["properties"]["proj:epsg"], optical["properties"]["datetime"]
    passes = [i for i in _items(world, "sentinel-1-rtc") if i["properties"]["sar:polarizations"] == ["VV", "VH"]]
    echo = next(
        i for i in _by_time(passes) if i["properties"]["proj:epsg"] == epsg and i["properties"]["datetime"] > taken
    )
    found = _typical(world, optical)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(3, len(found))
    for column, (code, view) in enumerate(found.items()):
        axes[0, column].imshow(natural(world, optical, view))
        axes[1, column].imshow(infrared(world, optical, view))
        axes[2, column].imshow(composite(world, echo, view))
        axes[0, column].set_title(CLASSES[code][1].split(" /")[0].replace("Permanent w", "W"), fontsize=7)
    return _bare(figure)


def natural(world: World, item: Item, view: View) -> Pixels:
    """Red, green, blue, brightened for the eye; nodata is black."""
    return _stretched(world, item, view, ("B04", "B03", "B02"), (0.20, 0.20, 0.20))


def infrared(world: World, item: Item, view: View) -> Pixels:
    """Near infrared, red, green."""
    return _stretched(world, item, view, ("B08", "B04", "B03"), (0.48, 0.20, 0.20))


def composite(world: World, item: Item, view: View) -> Pixels:
    """VV, VH and VV / VH in decibels; nodata is black."""
    vv, vh = (_read(world, item, channel, view) for channel in ("vv", "vh"))
    valid = (vv > 0) & (vh > 0)
    vv, vh = (10 * np.log10(np.where(valid, power, 1)) for power in (vv, vh))
    colours = np.stack([(vv + 22) / 22, (vh + 28) / 20, (vv - vh - 2) / 13], axis=-1)
    return np.asarray(np.clip(colours, 0, 1) * valid[..., None], np.float32)


def painted(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Land-cover codes in the colours of ESA WorldCover, shape (height, width, 3)."""
    table = np.full((256, 3), 255, np.uint8)
    for code, (colour, _) in CLASSES.items():
        table[code] = tuple(bytes.fromhex(colour))
    return table[codes]


def _stretched(
    world: World, item: Item, view: View, bands: tuple[str, ...], white: tuple[float, ...]
) -> npt.NDArray[np.float32]:
    offset = OFFSET if float(item["properties"]["s2:processing_baseline"]) >= 4 else 0
    numbers = np.stack([_read(world, item, band, view) for band in bands], axis=-1).astype(np.float32)
    reflectance = (numbers - offset) / QUANTIFICATION / np.array(white, np.float32)
    return np.asarray(np.clip(reflectance, 0, 1) ** np.float32(0.75) * (numbers > 0), np.float32)


def _typical(world: World, item: Item) -> dict[int, View]:
    """For each land cover, a clear chip of a tile of which it fills about four fifths."""
    cover, classes = _cover_under(world, item), _read(world, item, "SCL")
    left, _, _, top = item["assets"]["B02"]["proj:bbox"]
    best: dict[int, tuple[float, View]] = {}
    for row in range(0, cover.shape[0] - 120, 30):
        for column in range(0, cover.shape[1] - 120, 30):
            if np.isin(classes[row // 2 : row // 2 + 60, column // 2 : column // 2 + 60], (0, 3, 8, 9, 10)).any():
                continue
            part = cover[row : row + 120, column : column + 120]
            code = int(np.bincount(part.ravel()).argmax())
            far = abs(float((part == code).mean()) - 0.8)
            if far < best.get(code, (0.2,))[0]:
                best[code] = far, (left + 10 * column, top - 10 * row, 120)
    return {code: best[code][1] for code in sorted(best)}


def _cover_under(world: World, item: Item) -> npt.NDArray[np.uint8]:
    """The land cover on the 10 m grid of a tile, by nearest pixel of the maps."""
    with rasterio.open(world.folder / item["assets"]["B02"]["href"]) as file:
        profile = file.profile
    cover = np.zeros((profile["height"], profile["width"]), np.uint8)
    for layer in _items(world, "esa-worldcover"):
        with rasterio.open(world.folder / layer["assets"]["map"]["href"]) as file:
            part = np.zeros_like(cover)
            target = {"dst_transform": profile["transform"], "dst_crs": profile["crs"], "dst_nodata": 0}
            reproject(rasterio.band(file, 1), part, resampling=Resampling.nearest, **target)
        cover = np.where(part > 0, part, cover)
    return cover


def _items(world: World, collection: str) -> list[Item]:
    return [item for item in world.items if item["collection"] == collection]


def _items_at(items: list[Item], item: Item) -> list[Item]:
    """Those of the same pass."""
    return [other for other in items if other["properties"]["s1:datatake_id"] == item["properties"]["s1:datatake_id"]]


def _by_time(items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda item: str(item["properties"]["datetime"]))


def _eastern(world: World) -> list[Item]:
    """Optical items of the eastern zone with nothing missing, by time."""
    items = _items(world, "sentinel-2-l2a")
    east = max(item["properties"]["proj:epsg"] for item in items)
    whole = (item for item in items if item["properties"]["s2:nodata_pixel_percentage"] < 1)
    return _by_time(item for item in whole if item["properties"]["proj:epsg"] == east)


def _view(world: World, side: int) -> View:
    """A view inside the first eastern tile, at whatever size the world has."""
    left, _, right, top = _eastern(world)[0]["assets"]["B02"]["proj:bbox"]
    room = (right - left) / 10 - side
    return left + 10 * round(room * 0.25), top - 10 * round(room * 0.55), side


def _read(world: World, item: Item, asset: str, view: View | None = None) -> npt.NDArray[Any]:
    with rasterio.open(world.folder / item["assets"][asset]["href"]) as file:
        if view is None:
            return np.asarray(file.read(1))
        column, row = ~file.transform * (view[0], view[1])
        return np.asarray(file.read(1, window=Window(round(column), round(row), view[2], view[2])))


def _bare(figure: Figure) -> Figure:
    axes: list[Axes] = figure.axes
    for axis in axes:
        axis.set_axis_off()
    return figure


def _save(figure: Figure, path: Path) -> None:
    """Write a PNG of 256 colours, a third of the size."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100, format="png")
    Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


if __name__ == "__main__":
    main()
