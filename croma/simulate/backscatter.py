"""Backscatter of each unit of ground at C band: gamma nought of VV and VH on a given day and look."""

from typing import Literal, NamedTuple

import numpy as np

from croma.simulate.kinds import UNITS, VARIANTS, Kind, spread
from croma.simulate.noise import Floats
from croma.simulate.phenology import greenness

NEPER = float(np.log(10) / 10)
"""Natural logarithm of power per decibel."""


class Echo(NamedTuple):
    """Typical gamma nought of a kind, decibels."""

    vv: float
    vh: float
    grown_vv: float = 0.0
    """Change when fully green."""
    grown_vh: float = 0.0
    spread: float = 1.0
    """Standard deviation among variants."""
    texture: float = 0.5
    """Change per unit of texture."""
    wet: float = 0.0
    """Change from dry to wet ground."""
    wind: float = 0.0
    """Change from calm to stormy."""


_ECHOES: dict[Kind, Echo] = {
    Kind.SEA: Echo(-21.5, -29.0, texture=0.6, wind=8.0, spread=0.3),
    Kind.LAKE: Echo(-22.5, -29.5, texture=0.3, wind=5.0, spread=0.8),
    Kind.RIVER: Echo(-21.0, -28.0, texture=0.2, wind=4.0, spread=0.5),
    Kind.CONIFER: Echo(-8.8, -14.6, spread=0.8, texture=0.9),
    Kind.BROADLEAF: Echo(-8.2, -13.8, -0.8, -0.5, spread=0.8, texture=0.9),
    Kind.PLANTATION: Echo(-10.5, -16.5, 0.5, 1.0, texture=0.7),
    Kind.HEDGE: Echo(-9.0, -14.8, texture=0.5),
    Kind.HEATH: Echo(-12.0, -18.6, 0.2, 0.6, texture=0.9, wet=0.6),
    Kind.SCRUB: Echo(-10.8, -16.8, 0.2, 0.8, texture=0.9),
    Kind.MEADOW: Echo(-12.6, -20.0, 0.4, 0.8, spread=0.8, texture=0.25, wet=1.5),
    Kind.PASTURE: Echo(-12.2, -19.4, 0.4, 0.8, spread=0.8, texture=0.3, wet=1.5),
    Kind.DRY_GRASS: Echo(-13.4, -20.8, 0.2, 0.6, texture=0.3, wet=1.2),
    Kind.WINTER_CEREAL: Echo(-11.6, -20.6, -3.2, -0.6, spread=1.3, texture=0.3, wet=2.6),
    Kind.RAPESEED: Echo(-11.8, -20.4, 2.0, 5.4, spread=1.0, texture=0.3, wet=2.4),
    Kind.MAIZE: Echo(-11.6, -20.8, 1.4, 5.2, spread=1.2, texture=0.3, wet=2.6),
    Kind.BEET: Echo(-11.8, -20.8, 2.0, 5.6, spread=1.1, texture=0.3, wet=2.6),
    Kind.SPRING_CEREAL: Echo(-11.8, -20.8, -2.4, 0.0, spread=1.3, texture=0.3, wet=2.6),
    Kind.FALLOW: Echo(-12.4, -20.0, 0.2, 1.0, spread=1.2, texture=0.5, wet=1.8),
    Kind.ROAD: Echo(-14.0, -21.5, spread=1.0, texture=0.2),
    Kind.TILE_ROOF: Echo(-5.0, -12.4, spread=3.6, texture=0.5),
    Kind.FLAT_ROOF: Echo(-3.5, -12.0, spread=4.0, texture=1.2),
    Kind.PAVED: Echo(-10.5, -17.8, spread=2.4, texture=0.5),
    Kind.GARDEN: Echo(-9.6, -16.2, 0.4, 0.8, spread=1.4, texture=0.7),
    Kind.SAND: Echo(-17.5, -25.5, spread=0.9, texture=0.9, wet=1.0),
    Kind.GRAVEL: Echo(-11.4, -19.8, spread=1.6, texture=1.1, wet=1.0),
    Kind.RAW_SOIL: Echo(-12.6, -21.2, spread=1.4, texture=1.1, wet=2.8),
    Kind.REED: Echo(-9.6, -17.2, -0.6, 0.6, spread=0.9, texture=-1.3, wet=0.8),
    Kind.BOG: Echo(-11.6, -18.6, 0.0, 0.6, spread=0.9, texture=-1.2, wet=1.2),
}

_FACING = (Kind.TILE_ROOF, Kind.FLAT_ROOF, Kind.PAVED)
"""Kinds whose walls answer in one look direction and hide in the other."""


def echoes(
    seed: int, day: int, orbit_state: Literal["ascending", "descending"], wet: float, wind: float
) -> dict[str, tuple[Floats, Floats]]:
    """Mean and texture slope of each unit, natural logarithm of linear power, by channel (vv, vh); shape (UNITS,)."""
    result = {name: (np.empty(UNITS, np.float32), np.empty(UNITS, np.float32)) for name in ("vv", "vh")}
    for kind in Kind:
        echo = _ECHOES[kind]
        green = greenness(kind, seed, day)[0][:, 0]
        look = orbit_state if kind in _FACING else "both"
        shared = 0.0 if echo.wind else 1.5
        both, own = (spread(seed, kind, f"echo {name} {look}", shared, echo.spread)[:, 0] for name in ("level", "vh"))
        rows = np.s_[kind * VARIANTS : (kind + 1) * VARIANTS]
        bare = 1 - green
        for name, level, grown, share in (("vv", echo.vv, echo.grown_vv, 0.0), ("vh", echo.vh, echo.grown_vh, 0.5)):
            decibels = level + grown * green + echo.wet * (wet - 0.4) * bare * (1 - 0.4 * share)
            decibels += echo.wind * (wind - 0.3) * (1 - 0.4 * share)
            decibels += (1 - share) * both + share * own
            result[name][0][rows] = decibels * NEPER
            result[name][1][rows] = echo.texture * NEPER
    return result
