"""The ground: what covers each pixel, as a pure function of seed and place.

The unit says what a pixel is (`croma.simulate.kinds`), the texture how it departs from its unit. What satellites see
follows from the two.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from croma.grid import GeoBox
from croma.simulate import patterns
from croma.simulate.frame import Frame
from croma.simulate.kinds import Kind, UnitArray, cover_table, unit_of
from croma.simulate.noise import Floats, Ints, enlarge, generator, mix
from croma.simulate.patterns import Patch, Textures
from croma.simulate.regimes import LandUse, Regime

COARSE = 4
"""Pixels between the points at which land use and neighbourhoods are evaluated."""

STRIP = 256
"""Rows evaluated at once; a multiple of the node spacings, so that results do not depend on it."""

SECTOR = 2800.0
"""Metres between the centres of neighbourhoods."""

SECTORS = 32
"""Neighbourhoods along each axis before they repeat."""

TEXTURE_SCALE = 24
"""Texture is stored as int8: number × 24, clipped at ±5.3."""

_PATTERNS = {
    Regime.WATER: patterns.water,
    Regime.FOREST: patterns.forest,
    Regime.HEATH: patterns.heath,
    Regime.GRASS: patterns.grass,
    Regime.CROP: patterns.crop,
    Regime.TOWN: patterns.town,
    Regime.BARE: patterns.bare,
    Regime.WETLAND: patterns.wetland,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Land:
    """The ground under a box of pixels."""

    box: GeoBox
    units: UnitArray
    """Shape (height, width)."""
    texture: npt.NDArray[np.int8]
    """Shape (height, width), in units of 1 / `TEXTURE_SCALE`."""

    def window(self, box: GeoBox) -> "Land":
        """The part under `box`, which must lie inside on the same 10 m grid."""
        row, column = round((self.box.top - box.top) / 10), round((box.left - self.box.left) / 10)
        assert box.epsg == self.box.epsg
        assert min(row, column) >= 0
        assert row + box.height <= self.box.height
        assert column + box.width <= self.box.width
        place = np.s_[row : row + box.height, column : column + box.width]
        return Land(box=box, units=self.units[place], texture=self.texture[place])

    def cover(self) -> npt.NDArray[np.uint8]:
        """ESA WorldCover codes, shape (height, width): the truth."""
        return cover_table()[self.units]


class Ground:
    """The ground of a world."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        seed = frame.spec.seed
        reach = [frame.nodes(frame.ground_box(column), STRIP // 16) for column in ("west", "east")]
        x, y = (np.concatenate([points[axis].ravel() for points in reach]) for axis in (0, 1))
        self._half = np.float32(np.abs(y).max())
        self.land_use = LandUse(seed, (x, y))
        self.textures = Textures.draw(seed)
        self._jitter = generator("sectors", seed).uniform(0.1, 0.9, (SECTORS * SECTORS, 2)).astype(np.float32)

    def land(self, box: GeoBox) -> Land:
        """The ground under `box`, whose rows are evaluated in strips."""
        units = np.empty((box.height, box.width), np.uint16)
        texture = np.empty((box.height, box.width), np.int8)
        for row in range(0, box.height, STRIP):
            rows = min(STRIP, box.height - row)
            strip = box._replace(top=box.top - row * box.resolution, height=rows)
            units[row : row + rows], texture[row : row + rows] = self._strip(strip)
        return Land(box=box, units=units, texture=texture)

    def _strip(self, box: GeoBox) -> tuple[UnitArray, npt.NDArray[np.int8]]:
        x, y = self.frame.world(box)
        regime, margin, river = self._land_use(box)
        sector, edge = self._sectors(box)
        kind = np.empty(x.shape, np.uint8)
        individual = np.empty(x.shape, np.uint32)
        texture = np.empty(x.shape, np.float32)
        for ruling, pattern in _PATTERNS.items():
            here = np.nonzero(regime == ruling)
            if len(here[0]):
                patch = Patch(x[here], y[here], sector[here], edge[here], y[here] / self._half)
                kind[here], individual[here], texture[here] = pattern(patch, self.textures)
        beach = (margin > -0.07) & (regime != Regime.WATER) & (regime != Regime.WETLAND)
        kind[beach & (regime != Regime.TOWN)] = Kind.SAND
        kind[river & (regime != Regime.WATER)] = Kind.RIVER
        scaled = np.clip(np.rint(texture * TEXTURE_SCALE), -127, 127).astype(np.int8)
        character = mix(sector, 7)
        character[regime == Regime.WATER] = 0
        return unit_of(kind, character, individual), scaled

    def _land_use(self, box: GeoBox) -> tuple[Ints, Floats, npt.NDArray[np.bool_]]:
        """The ruling land use, how near water is to ruling (0 at the shore), and where rivers run."""
        nodes = self.frame.nodes(box, COARSE)
        scores = self.land_use.potentials(*nodes)
        best = enlarge(scores[0], COARSE, box.height, box.width)
        water, regime = best.copy(), np.zeros(best.shape, np.int32)
        for other in range(1, len(scores)):
            rival = enlarge(scores[other], COARSE, box.height, box.width)
            higher = rival > best
            regime[higher] = other
            np.maximum(best, rival, out=best)
        river = np.zeros(best.shape, bool)
        for course in self.land_use.rivers:
            river |= np.abs(enlarge(course.offset(*nodes), COARSE, box.height, box.width)) < course.width / 2
        return regime, water - best, river

    def _sectors(self, box: GeoBox) -> tuple[Ints, Floats]:
        """The neighbourhood of each pixel, and the metres to its border."""
        nodes = self.land_use.bent(*self.frame.nodes(box, COARSE))
        x, y = (enlarge(part, COARSE, box.height, box.width) for part in nodes)
        first, second = self._nearest(*nodes)
        gap = np.stack([first[1] - second[1], first[2] - second[2]])
        apart = np.maximum(np.hypot(*gap), np.float32(1))
        level = (first[1] ** 2 - second[1] ** 2 + first[2] ** 2 - second[2] ** 2) / (2 * apart)
        a, b, c = (_repeat(values, box) for values in (-gap[0] / apart, -gap[1] / apart, level))
        lead = a * x + b * y + c
        mine, other = (_repeat(which[0], box) for which in (first, second))
        return np.where(lead <= 0, mine, other).astype(np.int32), np.abs(lead)

    def _nearest(self, x: Floats, y: Floats) -> tuple[tuple[Floats, Floats, Floats], tuple[Floats, Floats, Floats]]:
        """Number and centre (x, y) of the nearest and the second nearest neighbourhood of each point."""
        column, row = np.floor(x / np.float32(SECTOR)), np.floor(y / np.float32(SECTOR))
        found = []
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                number = ((row + dy) % SECTORS * SECTORS + (column + dx) % SECTORS).astype(np.int32)
                cx = (column + dx + self._jitter[number, 0]) * np.float32(SECTOR)
                cy = (row + dy + self._jitter[number, 1]) * np.float32(SECTOR)
                found.append((number.astype(np.float32), cx, cy, (x - cx) ** 2 + (y - cy) ** 2))
        numbers, xs, ys, distances = (np.stack([one[part] for one in found]) for part in range(4))
        order = np.argpartition(distances, 1, axis=0)[:2]
        order = np.take_along_axis(order, np.argsort(np.take_along_axis(distances, order, 0), axis=0), 0)
        picks = [tuple(np.take_along_axis(part, order[i : i + 1], 0)[0] for part in (numbers, xs, ys)) for i in (0, 1)]
        return picks[0], picks[1]


def _repeat(nodes: Floats, box: GeoBox) -> Floats:
    """Each node's value for the `COARSE` × `COARSE` pixels that begin at it."""
    return np.repeat(np.repeat(nodes, COARSE, 0), COARSE, 1)[: box.height, : box.width]
