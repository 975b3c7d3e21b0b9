"""Where the tiles lie, and the common coordinates in which the ground is defined.

The ground is a function of metres east and north of the world's middle in the eastern UTM zone. Pixels of the western
zone are transformed to them, so the same ground is seen from both zones.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pyproj import Transformer

from croma.grid import LATTICE, PIXEL, GeoBox, align_down
from croma.simulate.noise import Floats, enlarge
from croma.simulate.spec import WorldSpec

NODE = 16
"""Pixels between the points at which smooth things are evaluated, to be interpolated between them."""

EXACT = 64
"""Pixels between the points that are transformed exactly; the error of interpolating between them is below 1 cm."""

MARGIN = 32
"""Pixels by which a zone's ground reaches beyond its tiles, for what moves: shadows, radar frames."""

ANCHOR = 1200
"""Metres. Tile corners are multiples of 60 m but not of this, so that chips and tiles never line up."""

Column = Literal["west", "east"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A Sentinel-2 tile."""

    name: str
    """In the manner of MGRS: 32UPF."""
    column: Column
    box: GeoBox


@dataclass(frozen=True, slots=True)
class Frame:
    """Geometry of a world."""

    spec: WorldSpec

    @property
    def west(self) -> int:
        """EPSG code of the western zone."""
        return self.east - 1

    @property
    def east(self) -> int:
        """EPSG code of the eastern zone, in which the ground is defined."""
        zone = round((self.spec.longitude + 180) / 6) % 60 + 1
        return (32600 if self.spec.latitude >= 0 else 32700) + zone

    @property
    def origin(self) -> tuple[float, float]:
        """The world's middle in the eastern zone, metres."""
        return _project(self.east, self.spec.longitude, self.spec.latitude)

    def tiles(self) -> tuple[Tile, ...]:
        """All tiles: the western column from north to south, then the eastern one."""
        columns: tuple[tuple[Column, int], ...] = (("west", self.west), ("east", self.east))
        return tuple(
            Tile(name=_name(self.spec, column, row), column=column, box=self._tile_box(column, epsg, row))
            for column, epsg in columns
            for row in range(self.spec.rows)
        )

    def _tile_box(self, column: Column, epsg: int, row: int) -> GeoBox:
        spec = self.spec
        x, y = _project(epsg, spec.longitude, spec.latitude)
        overlap = (spec.tile - spec.step) * PIXEL
        left = x - overlap if column == "east" else x + overlap - spec.tile * PIXEL
        top = y + ((spec.rows - 1) * spec.step + spec.tile) * PIXEL / 2
        corner = _off_anchor(left), _off_anchor(top) - row * spec.step * PIXEL
        return GeoBox(epsg, *corner, PIXEL, spec.tile, spec.tile)

    def ground_box(self, column: Column) -> GeoBox:
        """All pixels of a column: its tiles and a margin around them."""
        boxes = [tile.box for tile in self.tiles() if tile.column == column]
        first = boxes[0]
        height = (self.spec.rows - 1) * self.spec.step + self.spec.tile
        reach = MARGIN * PIXEL
        return GeoBox(
            first.epsg, first.left - reach, first.top + reach, PIXEL, height + 2 * MARGIN, first.width + 2 * MARGIN
        )

    def wide_box(self) -> GeoBox:
        """Pixels of the eastern zone that hold both columns."""
        west, east = self.ground_box("west"), self.ground_box("east")
        xs, ys = _edge(west, self.east)
        left = align_down(float(xs.min()), PIXEL)
        top = max(align_down(float(ys.max()), PIXEL), int(east.top))
        bottom = min(align_down(float(ys.min()), PIXEL), int(east.bounds[1]))
        return GeoBox(self.east, left, top, PIXEL, (top - bottom) // PIXEL, int(east.bounds[2] - left) // PIXEL)

    def world(self, box: GeoBox) -> tuple[Floats, Floats]:
        """Metres east and north of the middle, of the centre of each pixel of `box`; shape (height, width)."""
        x, y = self.nodes(box, NODE)
        return enlarge(x, NODE, box.height, box.width), enlarge(y, NODE, box.height, box.width)

    def nodes(self, box: GeoBox, every: int) -> tuple[Floats, Floats]:
        """World coordinates of each `every`-th pixel centre, and one beyond the last, along both axes."""
        rows = np.arange(-(-box.height // every) + 1) * every
        columns = np.arange(-(-box.width // every) + 1) * every
        xs = np.asarray(box.left + (columns + 0.5) * box.resolution, np.float64)
        ys = np.asarray(box.top - (rows + 0.5) * box.resolution, np.float64)
        if box.epsg == self.east:
            x, y = np.meshgrid(xs - self.origin[0], ys - self.origin[1])
            return x.astype(np.float32), y.astype(np.float32)
        far = EXACT // every
        x, y = np.meshgrid(_thinned(xs, far), _thinned(ys, far))
        x, y = transformer(box.epsg, self.east).transform(x, y)
        shape = len(rows), len(columns)
        return (
            enlarge((x - self.origin[0]).astype(np.float32), far, *shape),
            enlarge((y - self.origin[1]).astype(np.float32), far, *shape),
        )


def _thinned(places: npt.NDArray[np.float64], far: int) -> npt.NDArray[np.float64]:
    """Each `far`-th of evenly spaced places, and on beyond the last."""
    count = -(-len(places) // far) + 1
    return np.asarray(places[0] + np.arange(count) * far * (places[1] - places[0]), np.float64)


def _edge(box: GeoBox, epsg: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The corners of `box` in another CRS."""
    left, bottom, right, top = box.bounds
    xs, ys = transformer(box.epsg, epsg).transform([left, right, right, left], [top, top, bottom, bottom])
    return np.asarray(xs), np.asarray(ys)


@lru_cache(maxsize=32)
def transformer(source: int, target: int) -> Any:
    """A transformer between two EPSG codes, x before y."""
    return Transformer.from_crs(source, target, always_xy=True)


@lru_cache(maxsize=32)
def _project(epsg: int, longitude: float, latitude: float) -> tuple[float, float]:
    x, y = transformer(4326, epsg).transform(longitude, latitude)
    return float(x), float(y)


def _off_anchor(metres: float) -> int:
    """A multiple of 60 m near `metres` that is no multiple of `ANCHOR`."""
    snapped = align_down(metres, LATTICE)
    return snapped if snapped % ANCHOR else snapped + 4 * LATTICE


def _name(spec: WorldSpec, column: Column, row: int) -> str:
    """Letters of the 100 km square are those of the place by default; rows go down the alphabet."""
    zone = (Frame(spec).west if column == "west" else Frame(spec).east) % 100
    band = "CDEFGHJKLMNPQRSTUVWX"[int((spec.latitude + 80) // 8)]
    square = ("PF", "PE", "PD", "PC")[row] if column == "west" else ("UA", "UV", "UU", "UT")[row]
    return f"{zone:02d}{band}{square}"
