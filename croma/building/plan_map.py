"""A map of a plan: where its chips lie, in which split, under which scenes. Drawn without reading a pixel."""

from pathlib import Path
from typing import Any

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from shapely.geometry.base import BaseGeometry

from croma.building.book import Book
from croma.building.spec import BuildSpec
from croma.catalog.footprint import area_in_degrees, in_degrees, to_degrees
from croma.chip import SPLITS
from croma.grid import PIXEL
from croma.places import Floats, Integers, Places

COLOURS = ("#3b6fb6", "#e3a72f", "#c23b4a")
"""Of the splits."""
WIDTH, TALLEST = 9.0, 12.0
"""Inches."""
MANY = 100_000
"""Places. More are drawn as points."""


def draw(book: Book, spec: BuildSpec, path: Path) -> None:
    """Write a picture (PNG, or what the ending of `path` says) of the planned chips.

    Args:
        book: the plan; it has chips.
        spec: the dataset.
        path: of the picture; folders that are missing are made.
    """
    area = area_in_degrees(spec.area)
    keys = [_keys(book, split) for split in range(len(SPLITS))]
    corners = [_corners(np.unique(part), spec.chip_size) for part in keys]
    everything = np.concatenate(corners)
    if np.ptp(everything[..., 0]) > 180:  # on both sides of the antimeridian
        area = shapely.transform(area, _eastern)
        corners, everything = [_eastern(part) for part in corners], _eastern(everything)
    west, south = everything.min(axis=(0, 1))
    east, north = everything.max(axis=(0, 1))
    margin = 0.05 * max(east - west, north - south)
    stretch = 1 / np.cos(np.radians((south + north) / 2))
    height = min(max(WIDTH * stretch * (north - south) / (east - west), 3.0), TALLEST)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes: Axes = figure.subplots()
    axes.set(xlim=(west - margin, east + margin), ylim=(south - margin, north + margin), aspect=stretch)
    axes.set(xlabel="longitude", ylabel="latitude")
    _outline(axes, area, "#222222", 1.2, f"area of {spec.name}")
    footprints = {
        shapely.from_wkb(wkb)
        for wkb in {_footprint(scene.geometry) for scene in book.scenes if scene.role == "optical"}
    }
    for number, footprint in enumerate(footprints):
        _outline(axes, footprint, "#999999", 0.6, f"{len(footprints)} optical footprints" if number == 0 else None)
    for name, colour, chips, there in zip(SPLITS, COLOURS, keys, corners, strict=True):
        label = f"{name}: {len(chips):,} chips at {len(there):,} places"
        if len(everything) > MANY:
            axes.plot(*there.mean(axis=1).T, ",", color=colour, rasterized=True, label=label)
            continue
        look: dict[str, Any] = {"facecolor": colour, "edgecolor": colour, "alpha": 0.7, "linewidth": 0.4}
        axes.add_collection(PolyCollection(list(there), rasterized=True, label=label, **look))
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    axes.set_title(f"{spec.name}: {sum(map(len, keys)):,} chips of {spec.chip_size * PIXEL / 1000:g} km", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, bbox_inches="tight")


def _keys(book: Book, split: int) -> Integers:
    """The places (`Places.keys`) of all chips of a split; those with several pairs as often."""
    parts = [book.rows(number).keys for number, of in enumerate(book.splits) if of == split]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _corners(keys: Integers, size: int) -> Floats:
    """Longitude and latitude of the corners of the chip at each place, shape (n, 4, 2)."""
    places = Places.from_keys(keys)
    found = np.empty((len(places.epsg), 4, 2))
    for epsg in np.unique(places.epsg):
        here = places.epsg == epsg
        left, bottom, right, top = places.take(here).bounds(size).T
        x, y = np.stack([left, right, right, left], axis=1), np.stack([bottom, bottom, top, top], axis=1)
        found[here] = np.stack(to_degrees(int(epsg)).transform(x, y), axis=-1)
    return found


def _eastern(points: Floats) -> Floats:
    """The same points with longitudes from 0 to 360."""
    return np.stack((points[..., 0] % 360, points[..., 1]), axis=-1)


def _footprint(geometry: dict[str, object]) -> bytes:
    return bytes(shapely.to_wkb(in_degrees(geometry)))


def _outline(axes: Axes, shape: BaseGeometry, colour: str, width: float, label: str | None) -> None:
    for ring in shapely.get_parts(shapely.get_parts(shape.boundary)):
        axes.plot(*shapely.get_coordinates(ring).T, color=colour, linewidth=width, label=label)
        label = None
