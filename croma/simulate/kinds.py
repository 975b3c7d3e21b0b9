"""The kinds of ground, finer than land-cover codes, and the numbering of their variants.

Every pixel of the world belongs to a unit: one of the 1,024 variants of a kind. A variant has a character of its own (a
field's sowing date, a stand's age, a roof's colour), so neighbouring parcels of one kind differ.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

VARIANTS = 1024


class Kind(IntEnum):
    """What covers the ground."""

    SEA = 0
    LAKE = 1
    RIVER = 2
    CONIFER = 3
    BROADLEAF = 4
    PLANTATION = 5
    HEDGE = 6
    HEATH = 7
    SCRUB = 8
    MEADOW = 9
    PASTURE = 10
    DRY_GRASS = 11
    WINTER_CEREAL = 12
    RAPESEED = 13
    MAIZE = 14
    BEET = 15
    SPRING_CEREAL = 16
    FALLOW = 17
    ROAD = 18
    TILE_ROOF = 19
    FLAT_ROOF = 20
    PAVED = 21
    SAND = 22
    GRAVEL = 23
    RAW_SOIL = 24
    REED = 25
    BOG = 26


COVER: dict[Kind, int] = {
    **dict.fromkeys((Kind.CONIFER, Kind.BROADLEAF, Kind.PLANTATION, Kind.HEDGE), 10),
    **dict.fromkeys((Kind.HEATH, Kind.SCRUB), 20),
    **dict.fromkeys((Kind.MEADOW, Kind.PASTURE, Kind.DRY_GRASS), 30),
    **dict.fromkeys(
        (Kind.WINTER_CEREAL, Kind.RAPESEED, Kind.MAIZE, Kind.BEET, Kind.SPRING_CEREAL, Kind.FALLOW),
        40,
    ),
    **dict.fromkeys((Kind.ROAD, Kind.TILE_ROOF, Kind.FLAT_ROOF, Kind.PAVED), 50),
    **dict.fromkeys((Kind.SAND, Kind.GRAVEL, Kind.RAW_SOIL), 60),
    **dict.fromkeys((Kind.SEA, Kind.LAKE, Kind.RIVER), 80),
    **dict.fromkeys((Kind.REED, Kind.BOG), 90),
}
"""ESA WorldCover codes."""

HEIGHT: dict[Kind, float] = {
    Kind.CONIFER: 22.0,
    Kind.BROADLEAF: 18.0,
    Kind.PLANTATION: 8.0,
    Kind.HEDGE: 8.0,
    Kind.SCRUB: 2.5,
    Kind.MAIZE: 1.5,
    Kind.TILE_ROOF: 9.0,
    Kind.FLAT_ROOF: 12.0,
    Kind.REED: 2.0,
}
"""Metres; 0 where not named."""

UNITS = VARIANTS * len(Kind)

UnitArray = npt.NDArray[np.uint16]


def unit_of(kind: npt.NDArray[np.integer] | int, variant: npt.NDArray[np.integer]) -> UnitArray:
    """The unit number of a variant (any integer, taken modulo 1,024) of a kind."""
    return (np.asarray(kind, np.int64) * VARIANTS + (variant.astype(np.int64) % VARIANTS)).astype(np.uint16)


def kind_of(units: UnitArray) -> npt.NDArray[np.uint8]:
    """The kinds of unit numbers."""
    return (units // VARIANTS).astype(np.uint8)


def cover_table() -> npt.NDArray[np.uint8]:
    """WorldCover code of each unit, shape (UNITS,)."""
    return np.repeat(np.array([COVER[kind] for kind in Kind], np.uint8), VARIANTS)


def height_table() -> npt.NDArray[np.float32]:
    """Height in metres of each unit, shape (UNITS,)."""
    return np.repeat(np.array([HEIGHT.get(kind, 0.0) for kind in Kind], np.float32), VARIANTS)
