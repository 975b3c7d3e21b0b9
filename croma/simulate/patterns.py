"""What each land use looks like from above: parcels, stands, blocks of houses, clumps, dunes, pools.

Every function takes the pixels of one land use as flat arrays (`Patch`) and says of each pixel its kind, its individual
and its texture: a number near 0 (standard deviation about 1) that makes it lighter or darker than its unit.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from croma.simulate.kinds import Kind
from croma.simulate.noise import Field, Floats, Words, mix, unit

Kinds = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Textures:
    """Random fields that patterns draw on, all at the pixel size of 10 m but the first."""

    region: Field
    """Kilometres: conifers here, broadleaves there."""
    soft: Field
    """Hundreds of metres: moisture, soil."""
    pools: Field
    clumps: Field
    canopy: Field
    grain: Field
    """Pixel by pixel."""

    @classmethod
    def draw(cls, seed: int) -> "Textures":
        """The textures of a world."""
        return cls(
            region=Field.smooth("region", seed, wavelength=3500.0, pixel=100.0),
            soft=Field.fractal("soft", seed, longest=500.0, slope=2.6, pixel=10.0, size=1024),
            pools=Field.smooth("pools", seed, wavelength=170.0, pixel=10.0, size=1024),
            clumps=Field.smooth("clumps", seed, wavelength=75.0, pixel=10.0, size=1024),
            canopy=Field.smooth("canopy", seed, wavelength=30.0, pixel=10.0, size=1024),
            grain=Field.smooth("grain", seed, wavelength=20.0, pixel=10.0, size=1024),
        )


class Patch(NamedTuple):
    """Pixels of one land use, one element each."""

    x: Floats
    """World metres east."""
    y: Floats
    """World metres north."""
    sector: npt.NDArray[np.int32]
    """The neighbourhood they belong to: one orientation, one style."""
    edge: Floats
    """Metres to the border of the neighbourhood, along which roads run."""
    north: Floats
    """−1 at the southern end of the world, 1 at the northern one."""


class Looks(NamedTuple):
    """What a pattern says of each pixel."""

    kind: Kinds
    individual: Words
    texture: Floats


class _Grid(NamedTuple):
    """Bricks of land laid in rows, in the orientation of the neighbourhood."""

    along: Floats
    """Metres from the start of the brick, along the row."""
    across: Floats
    length: Floats
    """Metres of this brick along the row."""
    width: Floats
    identity: Words
    turned: Floats
    """The rotated coordinate along the row, metres."""


def _bricks(patch: Patch, length: tuple[float, float], width: tuple[float, float], salt: int, split: float) -> _Grid:
    """Rows `width` metres deep of bricks `length` metres long, each within its bounds; a share `split` is halved."""
    style = mix(patch.sector, salt)
    angle = unit(style) * np.float32(np.pi)
    long = np.float32(length[0]) + unit(style, 8) * np.float32(length[1] - length[0])
    deep = np.float32(width[0]) + unit(style, 16) * np.float32(width[1] - width[0])
    cosine, sine = np.cos(angle), np.sin(angle)
    u, v = patch.x * cosine + patch.y * sine, patch.y * cosine - patch.x * sine
    row = np.floor(v / deep)
    shifted = u + unit(mix(style, row.astype(np.int32))) * long
    column = np.floor(shifted / long)
    identity = mix(style, row.astype(np.int32), column.astype(np.int32))
    along, across = shifted - column * long, v - row * deep
    halved = unit(identity, 4) < np.float32(split)
    cut = long * (np.float32(0.3) + np.float32(0.4) * unit(identity, 10))
    second = halved & (along > cut)
    size = np.where(halved, np.where(second, long - cut, cut), long)
    along = np.where(second, along - cut, along)
    return _Grid(along, across, size, deep, mix(identity, second.astype(np.int32)), u)


def _rim(grid: _Grid) -> Floats:
    """Metres to the nearest border of the brick."""
    along = np.minimum(grid.along, grid.length - grid.along)
    rim: Floats = np.minimum(along, np.minimum(grid.across, grid.width - grid.across))
    return rim


def _roads(patch: Patch, looks: Looks, half_width: float) -> Looks:
    """`looks` with a road along the border of the neighbourhood."""
    on = patch.edge < np.float32(half_width)
    return Looks(np.where(on, Kind.ROAD, looks.kind).astype(np.uint8), looks.individual, np.where(on, 0, looks.texture))


def water(patch: Patch, textures: Textures) -> Looks:
    """Sea in the north, lakes elsewhere: smooth, with plumes."""
    kind = np.where(patch.north > 0.25, Kind.SEA, Kind.LAKE).astype(np.uint8)
    plume = textures.region.at(patch.x, patch.y) + np.float32(0.35) * textures.soft.pick(patch.x, patch.y)
    return Looks(kind, np.zeros(len(kind), np.uint32), plume)


def forest(patch: Patch, textures: Textures) -> Looks:
    """Stands of one age and species with rough canopies, straight rides between compartments, some clearings."""
    grid = _bricks(patch, (420, 800), (300, 520), salt=11, split=0.5)
    bias = textures.region.at(patch.x, patch.y) * np.float32(0.35) + unit(grid.identity, 3) - np.float32(0.5)
    kind = np.where(bias > 0, Kind.CONIFER, Kind.BROADLEAF).astype(np.uint8)
    kind[unit(grid.identity, 6) < 0.10] = Kind.PLANTATION
    clearing = textures.soft.pick(patch.x, patch.y) > np.float32(2.05)
    ride = (_rim(grid) < 5.5) & (unit(grid.identity, 12) < 0.75)
    kind[clearing | ride] = Kind.DRY_GRASS
    rough = textures.canopy.pick(patch.x, patch.y)
    texture = np.where(kind == Kind.PLANTATION, np.sin(grid.along * np.float32(2 * np.pi / 35)) + 0.4 * rough, rough)
    return _roads(patch, Looks(kind, grid.identity, texture.astype(np.float32)), 5.5)


def heath(patch: Patch, textures: Textures) -> Looks:
    """Clumps of shrub in a matrix of dry grass, with sandy patches and lone trees."""
    clump = textures.clumps.pick(patch.x, patch.y) + np.float32(0.25) * textures.canopy.pick(patch.x, patch.y)
    moist = textures.soft.pick(patch.x, patch.y)
    shrub = np.where(moist > 0.3, Kind.SCRUB, Kind.HEATH)
    kind = np.where(clump > np.float32(-0.8) - np.float32(0.2) * moist, shrub, Kind.DRY_GRASS)
    kind = np.where(moist < np.float32(-1.9), Kind.SAND, kind)
    kind = np.where(clump > np.float32(2.1), Kind.BROADLEAF, kind)
    individual = mix(patch.sector, 21, (moist * 3).astype(np.int32))
    return _roads(patch, Looks(kind.astype(np.uint8), individual, clump), 4.0)


def grass(patch: Patch, textures: Textures) -> Looks:
    """Large smooth meadows and pastures, some lone trees and hedges, little contrast between neighbours."""
    grid = _bricks(patch, (450, 950), (260, 520), salt=31, split=0.35)
    kind = np.where(unit(grid.identity, 2) < 0.55, Kind.MEADOW, Kind.PASTURE).astype(np.uint8)
    kind[unit(grid.identity, 5) < 0.06] = Kind.WINTER_CEREAL
    lone = (textures.canopy.pick(patch.x, patch.y) > 3.0) & (kind == Kind.PASTURE)
    hedge = (_rim(grid) < 6.0) & (unit(grid.identity, 9) < 0.22)
    kind[lone | hedge] = Kind.HEDGE
    smooth = textures.soft.pick(patch.x, patch.y) * np.float32(0.8)
    return _roads(patch, Looks(kind, grid.identity, smooth), 5.5)


_ROTATION = np.array(
    [Kind.WINTER_CEREAL] * 5
    + [Kind.RAPESEED] * 3
    + [Kind.MAIZE] * 3
    + [Kind.BEET] * 2
    + [Kind.SPRING_CEREAL] * 2
    + [Kind.FALLOW],
    np.uint8,
)
"""Crops in the proportions in which fields carry them."""


def crop(patch: Patch, textures: Textures) -> Looks:
    """Fields of one crop with sowing rows, grassy margins and hedges, a few copses and meadows."""
    grid = _bricks(patch, (260, 620), (150, 380), salt=41, split=0.55)
    kind = _ROTATION[(grid.identity >> np.uint32(7)) % np.uint32(len(_ROTATION))]
    share = unit(grid.identity, 1)
    kind[share < 0.05] = Kind.MEADOW
    kind[share > 0.975] = Kind.BROADLEAF
    rim = _rim(grid)
    kind[(rim < 4.0) & (unit(grid.identity, 8) < 0.5)] = Kind.DRY_GRASS
    kind[(rim < 6.0) & (unit(grid.identity, 11) < 0.15)] = Kind.HEDGE
    spacing = np.float32(24.0) + np.float32(20.0) * unit(grid.identity, 14)
    rows = np.sin(np.where(unit(grid.identity, 13) < 0.5, grid.along, grid.across) * (np.float32(2 * np.pi) / spacing))
    texture = rows + np.float32(0.55) * textures.soft.pick(patch.x, patch.y)
    return _roads(patch, Looks(kind, grid.identity, texture), 5.5)


def town(patch: Patch, textures: Textures) -> Looks:
    """Streets, rows of houses with gardens, dense centres, works with large roofs, parks."""
    grid = _bricks(patch, (90, 170), (75, 120), salt=51, split=0.0)
    dense = textures.region.at(patch.x, patch.y)
    style = unit(mix(patch.sector, 52))
    works = style + np.float32(0.12) * dense > np.float32(0.78)
    lot = mix(grid.identity, np.floor(grid.along / 24).astype(np.int32), np.floor(grid.across / 26).astype(np.int32))
    inside = (np.abs(grid.along % 24 - 12) < 8.5) & (np.abs(grid.across % 26 - 13) < 9.5)
    housed = inside & (unit(lot) < np.float32(0.72) + np.float32(0.1) * dense)
    yard = unit(lot, 9) < np.float32(0.32) + np.float32(0.12) * dense
    kind = np.where(housed, Kind.TILE_ROOF, np.where(yard, Kind.PAVED, Kind.GARDEN))
    kind = np.where(~housed & ~yard & (textures.canopy.pick(patch.x, patch.y) > 0.9), Kind.HEDGE, kind)
    halls, plot = _works(patch, textures)
    kind = np.where(works, halls, kind)
    park = (unit(grid.identity, 7) < 0.06) & ~works
    kind = np.where(park, np.where(unit(lot, 5) < 0.5, Kind.BROADLEAF, Kind.MEADOW), kind)
    kind = np.where(((_rim(grid) < 6.5) & ~works) | (patch.edge < 9), Kind.ROAD, kind)
    individual = np.where(works, plot, lot)
    return Looks(kind.astype(np.uint8), individual, textures.grain.pick(patch.x, patch.y))


def _works(patch: Patch, textures: Textures) -> tuple[Kinds, Words]:
    """Kinds and plots of works: halls of all sizes on paved yards, with some waste land between."""
    plot = _bricks(patch, (160, 420), (110, 260), salt=53, split=0.6)
    share = unit(plot.identity, 3)
    setback = np.float32(14.0) + np.float32(26.0) * unit(plot.identity, 9)
    kind = np.where((_rim(plot) > setback) & (share < 0.62), Kind.FLAT_ROOF, Kind.PAVED)
    kind = np.where((share > 0.85) & (textures.clumps.pick(patch.x, patch.y) > -0.3), Kind.GARDEN, kind)
    return np.where(_rim(plot) < 6, Kind.ROAD, kind).astype(np.uint8), plot.identity


def bare(patch: Patch, textures: Textures) -> Looks:
    """Dunes and beaches in the north, gravel pits and open-cast mines elsewhere: ripples and terraces."""
    soft = textures.soft.pick(patch.x, patch.y)
    pit = textures.region.at(patch.x, patch.y) > np.float32(0.1)
    kind = np.where(patch.north > 0.5, Kind.SAND, np.where(pit, Kind.GRAVEL, Kind.RAW_SOIL))
    kind = np.where(textures.pools.pick(patch.x, patch.y) > 2.3, Kind.LAKE, kind)
    kind = np.where(textures.clumps.pick(patch.x, patch.y) + soft * 0.5 > 2.0, Kind.DRY_GRASS, kind)
    angle = unit(mix(patch.sector, 61)) * np.float32(np.pi)
    phase = (patch.x * np.cos(angle) + patch.y * np.sin(angle)) / np.float32(85.0) + soft * np.float32(0.35)
    ripple = np.sin(phase * np.float32(2 * np.pi))
    individual = mix(patch.sector, 62, (soft * 2).astype(np.int32))
    return _roads(patch, Looks(kind.astype(np.uint8), individual, ripple + np.float32(0.4) * soft), 5.5)


def wetland(patch: Patch, textures: Textures) -> Looks:
    """Reed beds and bog around winding pools, cut by a few ditches."""
    pools = textures.pools.pick(patch.x, patch.y)
    soft = textures.soft.pick(patch.x, patch.y)
    kind = np.where(textures.region.at(patch.x, patch.y) + np.float32(0.5) * soft > 0, Kind.REED, Kind.BOG)
    kind = np.where(pools + np.float32(0.2) * soft > 1.15, Kind.LAKE, kind)
    kind = np.where(textures.clumps.pick(patch.x, patch.y) > 2.2, Kind.SCRUB, kind)
    individual = mix(patch.sector, 71, (soft * 2).astype(np.int32))
    return _roads(
        patch, Looks(kind.astype(np.uint8), individual, pools * np.float32(0.9) + soft * np.float32(0.4)), 4.0
    )
