"""The kinds of ground, finer than land-cover codes, and the numbering of their variants.

Every pixel of the world belongs to a unit: one of the 1,024 variants of a kind. A variant is one of 32 individuals
(this field's sowing date, that roof's colour) of one of 32 characters, which a whole neighbourhood shares (its soil,
its species, its way of farming). So neighbouring parcels differ a little, and neighbourhoods a lot.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from croma.simulate.noise import Floats, Words, generator

CHARACTERS = 32
INDIVIDUALS = 32
VARIANTS = CHARACTERS * INDIVIDUALS


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
    GARDEN = 27


COVER: dict[Kind, int] = {
    **dict.fromkeys((Kind.CONIFER, Kind.BROADLEAF, Kind.PLANTATION, Kind.HEDGE), 10),
    **dict.fromkeys((Kind.HEATH, Kind.SCRUB), 20),
    **dict.fromkeys((Kind.MEADOW, Kind.PASTURE, Kind.DRY_GRASS), 30),
    **dict.fromkeys(
        (Kind.WINTER_CEREAL, Kind.RAPESEED, Kind.MAIZE, Kind.BEET, Kind.SPRING_CEREAL, Kind.FALLOW),
        40,
    ),
    **dict.fromkeys((Kind.ROAD, Kind.TILE_ROOF, Kind.FLAT_ROOF, Kind.PAVED, Kind.GARDEN), 50),
    **dict.fromkeys((Kind.SAND, Kind.GRAVEL, Kind.RAW_SOIL), 60),
    **dict.fromkeys((Kind.SEA, Kind.LAKE, Kind.RIVER), 80),
    **dict.fromkeys((Kind.REED, Kind.BOG), 90),
}
"""ESA WorldCover codes. Gardens between houses are built-up there, since its pixels are as large as the lots."""

HEIGHT: dict[Kind, float] = {
    Kind.CONIFER: 22.0,
    Kind.BROADLEAF: 18.0,
    Kind.PLANTATION: 8.0,
    Kind.HEDGE: 8.0,
    Kind.SCRUB: 2.5,
    Kind.MAIZE: 1.5,
    Kind.TILE_ROOF: 9.0,
    Kind.FLAT_ROOF: 12.0,
    Kind.GARDEN: 2.0,
    Kind.REED: 2.0,
}
"""Metres; 0 where not named."""

UNITS = VARIANTS * len(Kind)

UnitArray = npt.NDArray[np.uint16]


def unit_of(kind: npt.NDArray[np.uint8], character: Words, individual: Words) -> UnitArray:
    """Unit numbers; any number will do for a character or an individual, the remainder counts."""
    units = kind.astype(np.uint16) * np.uint16(VARIANTS)
    units += (character % np.uint32(CHARACTERS)).astype(np.uint16) * np.uint16(INDIVIDUALS)
    units += (individual % np.uint32(INDIVIDUALS)).astype(np.uint16)
    return units


def spread(seed: int, kind: Kind, trait: str, shared: float, own: float) -> Floats:
    """Normal deviates of a trait of all variants of a kind, shape (1024, 1).

    Args:
        seed: Of the world.
        kind: Which kind.
        trait: Names what differs; traits are independent.
        shared: Standard deviation among characters; half of the variance moves all kinds of a neighbourhood together.
        own: Standard deviation among the individuals of a character.
    """
    together = generator("trait", seed, trait).standard_normal(CHARACTERS)
    rng = generator("trait", seed, trait, int(kind))
    characters = np.sqrt(0.5) * (together + rng.standard_normal(CHARACTERS))
    deviates = shared * np.repeat(characters, INDIVIDUALS) + own * rng.standard_normal(VARIANTS)
    return deviates.astype(np.float32)[:, None]


def kind_of(units: UnitArray) -> npt.NDArray[np.uint8]:
    """The kinds of unit numbers."""
    return (units // VARIANTS).astype(np.uint8)


def cover_table() -> npt.NDArray[np.uint8]:
    """WorldCover code of each unit, shape (UNITS,)."""
    return np.repeat(np.array([COVER[kind] for kind in Kind], np.uint8), VARIANTS)


def height_table() -> npt.NDArray[np.float32]:
    """Height in metres of each unit, shape (UNITS,)."""
    return np.repeat(np.array([HEIGHT.get(kind, 0.0) for kind in Kind], np.float32), VARIANTS)
