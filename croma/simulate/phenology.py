"""How green each unit is on a day of the year: sowing, growth, flowering, ripening, harvest, leaf fall."""

from typing import NamedTuple

import numpy as np

from croma.simulate.kinds import VARIANTS, Kind, spread
from croma.simulate.noise import Floats


class Cycle(NamedTuple):
    """A growing season as days of the year (of a year in central Europe)."""

    start: float
    """Half green."""
    end: float
    """Half brown."""
    peak: float
    """Green cover at the height of the season, 0 to 1."""
    rest: float
    """Green cover outside the season."""
    spread: float
    """Standard deviation of the dates among variants, days."""
    straw: float = 0.0
    """What is left when it is brown is this much straw rather than bare ground."""


_CYCLES: dict[Kind, Cycle] = {
    Kind.SEA: Cycle(120, 280, 0.5, 0.5, 0),
    Kind.LAKE: Cycle(120, 280, 0.5, 0.5, 0),
    Kind.RIVER: Cycle(120, 280, 0.5, 0.5, 0),
    Kind.CONIFER: Cycle(120, 290, 0.97, 0.90, 10),
    Kind.BROADLEAF: Cycle(122, 296, 0.96, 0.12, 6),
    Kind.PLANTATION: Cycle(120, 290, 0.80, 0.35, 10),
    Kind.HEDGE: Cycle(118, 292, 0.92, 0.20, 8),
    Kind.HEATH: Cycle(130, 285, 0.95, 0.80, 12),
    Kind.SCRUB: Cycle(118, 288, 0.92, 0.35, 10),
    Kind.MEADOW: Cycle(88, 305, 0.90, 0.62, 12, 0.2),
    Kind.PASTURE: Cycle(92, 300, 0.85, 0.60, 12, 0.2),
    Kind.DRY_GRASS: Cycle(105, 190, 0.75, 0.35, 15, 0.3),
    Kind.WINTER_CEREAL: Cycle(82, 184, 0.96, 0.12, 9, 0.8),
    Kind.RAPESEED: Cycle(75, 178, 0.97, 0.25, 7, 0.6),
    Kind.MAIZE: Cycle(164, 268, 0.95, 0.03, 8, 0.45),
    Kind.BEET: Cycle(152, 292, 0.95, 0.03, 9, 0.1),
    Kind.SPRING_CEREAL: Cycle(122, 196, 0.94, 0.04, 8, 0.7),
    Kind.FALLOW: Cycle(110, 290, 0.65, 0.35, 25, 0.4),
    Kind.GARDEN: Cycle(108, 300, 0.85, 0.45, 10, 0.2),
    Kind.PAVED: Cycle(110, 290, 0.18, 0.10, 15),
    Kind.REED: Cycle(138, 278, 0.92, 0.08, 8, 0.6),
    Kind.BOG: Cycle(125, 270, 0.85, 0.40, 10, 0.4),
}
"""Kinds that are not named are never green."""

_MOWN = (Kind.MEADOW, Kind.PASTURE)
_WINTER_SOWN = {Kind.WINTER_CEREAL: 288.0, Kind.RAPESEED: 252.0}
"""Day at which the next crop is half emerged."""


def greenness(kind: Kind, seed: int, day: int) -> tuple[Floats, Floats, Floats]:
    """Green cover, share of it in flower, and share of straw in what is not green; each (1024, 1), 0 to 1."""
    zero = np.zeros((VARIANTS, 1), np.float32)
    if kind not in _CYCLES:
        return zero, zero, zero
    cycle = _CYCLES[kind]
    shift = spread(seed, kind, "season", 1.2, 0.7)
    vigour = spread(seed, kind, "vigour", 0.14, 0.07)
    cut = spread(seed, kind, "mowing", 0.5, 0.9)
    today = day - np.float32(cycle.spread) * shift
    season = _step(today - cycle.start, 9) * _step(cycle.end - today, 8)
    green = cycle.rest + (cycle.peak - cycle.rest) * season
    if kind in _WINTER_SOWN:
        green = np.maximum(green, np.float32(0.55) * _step(today - _WINTER_SOWN[kind], 10))
        green = np.where(today < cycle.start, np.maximum(green, np.float32(0.3)), green)
    if kind in _MOWN:
        since = (day - 150 + np.float32(25) * cut) % 55
        green = green - np.float32(0.35) * np.exp(-since / 12) * season
    green = np.clip(green * (1 + vigour), 0, 1)
    flower = zero
    if kind is Kind.RAPESEED:
        flower = np.float32(0.75) * np.exp(-(((today - 128) / 10) ** 2))
    ripe = np.where(today < cycle.end + 45, np.float32(cycle.straw), np.float32(cycle.straw) * np.float32(0.3))
    ripe = np.where(today < cycle.start, np.float32(cycle.straw * 0.3), ripe)
    return green.astype(np.float32), flower.astype(np.float32), ripe.astype(np.float32)


def _step(days: Floats, width: float) -> Floats:
    """A soft step from 0 to 1 at 0, `width` days wide."""
    return np.asarray(1 / (1 + np.exp(-np.clip(days / np.float32(width), -30, 30))), np.float32)
