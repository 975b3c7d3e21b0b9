"""Where the chips of a version lie, in as many points as a page can draw, with the tiles and zones they come from."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from pyproj import Transformer

from croma.chip import SPLITS
from croma.grid import PIXEL
from croma.shards.classes import colours_of, names_of
from croma.shards.dataset import Dataset

_ROW = 1 << 20
"""More than there are cells from pole to pole."""

Json = dict[str, Any]
Floats = npt.NDArray[np.float64]

POINTS = 6000
"""Drawn at most; more places are counted in the cells of a grid."""

TILES = 200
"""Drawn with their edges as they bend; more are drawn by their corners."""


def places(dataset: Dataset) -> Json:
    """A map of a version: places of chips or cells of many, and outlines of tiles."""
    rows, side = dataset.rows, dataset.layout.size * PIXEL
    found = _places(rows)
    squares = corners(found["epsg"], found["left"], found["top"], side)
    tiles = _tiles(rows, side)
    if _crosses(squares[..., 0]):
        squares[..., 0] %= 360
        for tile in tiles:
            tile["ring"] = [[longitude % 360, latitude] for longitude, latitude in tile["ring"]]
    drawn = _drawn(squares, found) if len(found["epsg"]) <= POINTS else _gathered(squares, found)
    classes = sorted({code for code in found["label"].tolist() if code})
    names, colours = names_of(dataset.header, classes), colours_of(dataset.header, classes)
    return {
        "splits": list(SPLITS),
        "classes": [list(each) for each in zip(classes, names, colours, strict=True)],
        "tiles": tiles,
        **drawn,
    }


def corners(epsg: npt.NDArray[Any], left: npt.NDArray[Any], top: npt.NDArray[Any], side: float) -> Floats:
    """Corners of squares in longitude and latitude, from the lower left one counter-clockwise: shape (n, 4, 2).

    Args:
        epsg: UTM zones.
        left: metres, of the top left corners.
        top: metres.
        side: metres.
    """
    found = np.zeros((len(epsg), 4, 2))
    for zone in np.unique(epsg):
        here = epsg == zone
        x = left[here, None] + np.array([0.0, side, side, 0.0])
        y = top[here, None] - np.array([side, side, 0.0, 0.0])
        to_degrees = Transformer.from_crs(int(zone), 4326, always_xy=True)
        found[here] = np.stack(to_degrees.transform(x, y), axis=-1)
    return found


def _crosses(longitudes: Floats) -> bool:
    """Whether a map that is not cut at the antimeridian, but at Greenwich, is narrower."""
    return bool(longitudes.size and np.ptp(longitudes % 360) < np.ptp(longitudes))


def _places(rows: pa.Table) -> dict[str, npt.NDArray[Any]]:
    """Each place once: where it is, its split, how many chips it has, and the lowest of their labels."""
    columns = rows.select(["epsg", "left", "top", "split", "label"])
    grouped = columns.group_by(["epsg", "left", "top", "split"], use_threads=False).aggregate(
        [([], "count_all"), ("label", "min")]
    )
    found = {name: np.asarray(grouped[name].to_numpy()) for name in ("epsg", "left", "top")}
    return found | {
        "split": np.asarray(pc.index_in(grouped["split"], pa.array(SPLITS)).to_numpy(), np.int64),
        "chips": np.asarray(grouped["count_all"].to_numpy()),
        "label": np.nan_to_num(np.asarray(grouped["label_min"].to_numpy(), np.float64)).astype(np.int64),
    }


def _drawn(squares: Floats, found: dict[str, npt.NDArray[Any]]) -> Json:
    """Every place as it lies."""
    points = [
        [square, split, chips, label]
        for square, split, chips, label in zip(
            np.round(squares, 5).tolist(), *(found[name].tolist() for name in ("split", "chips", "label")), strict=True
        )
    ]
    return {"kind": "places", "points": points, "places": len(points)}


def _gathered(squares: Floats, found: dict[str, npt.NDArray[Any]]) -> Json:
    """Cells of a grid of degrees, so wide that few enough are used, each with its chips and its commonest split."""
    middles = squares.mean(axis=1)
    width = 0.01
    while True:
        # As one number: numbers are sorted far faster than pairs of them.
        cells = np.floor(middles / width).astype(np.int64) @ [_ROW, 1]
        if len(np.unique(cells)) <= POINTS:
            break
        width *= 1.5
    codes, member = np.unique(cells, return_inverse=True)
    south = (codes + _ROW // 2) % _ROW - _ROW // 2
    used = np.stack([(codes - south) // _ROW, south], axis=1)
    chips = np.bincount(member, found["chips"], len(used)).astype(np.int64)
    split, label = (_commonest(member, found[name], found["chips"]) for name in ("split", "label"))
    steps = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    boxes = (used[:, None] + steps) * width
    points = [
        list(each)
        for each in zip(np.round(boxes, 4).tolist(), *(c.tolist() for c in (split, chips, label)), strict=True)
    ]
    return {"kind": "cells", "points": points, "places": len(squares)}


def _commonest(member: npt.NDArray[Any], values: npt.NDArray[Any], weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """For each cell the value that most of its chips have."""
    codes, position = np.unique(values, return_inverse=True)
    counts = np.zeros((int(member.max()) + 1, len(codes)))
    np.add.at(counts, (member, position.ravel()), weights)
    return np.asarray(codes[counts.argmax(axis=1)])


def _tiles(rows: pa.Table, side: float) -> list[Json]:
    """The hull of the chips of each MGRS tile."""
    grouped = (
        rows.select(["tile", "epsg", "left", "top"])
        .group_by(["tile", "epsg"])
        .aggregate([("left", "min"), ("left", "max"), ("top", "min"), ("top", "max")])
    )
    # What makes a page large, and on a map of many tiles nobody sees the bend of an edge.
    step = 5000 if grouped.num_rows <= TILES else np.inf
    found = []
    for row in grouped.to_pylist():
        if row["tile"] is None:
            continue
        box = shapely.box(row["left_min"], row["top_min"] - side, row["left_max"] + side, row["top_max"])
        ring = shapely.get_coordinates(shapely.segmentize(box, step))
        to_degrees = Transformer.from_crs(row["epsg"], 4326, always_xy=True)
        line = np.round(np.stack(to_degrees.transform(ring[:, 0], ring[:, 1]), axis=1), 4)
        found.append({"name": row["tile"], "ring": line.tolist()})
    return sorted(found, key=lambda tile: str(tile["name"]))
