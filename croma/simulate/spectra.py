"""Reflectance of each unit of ground on a given day, in the twelve Level-2A bands.

Typical surface reflectances of vegetation, soils, water and roofs, as spectral libraries and Sentinel-2 products show
them, mixed by how green the ground is on that day. Values are fractions, not percent.
"""

import numpy as np

from croma.simulate.kinds import COVER, UNITS, VARIANTS, Kind, spread
from croma.simulate.noise import Floats
from croma.simulate.phenology import greenness

#              B01   B02   B03   B04   B05   B06   B07   B08   B8A   B09   B11   B12
_LIBRARY = {
    "crop": (0.020, 0.027, 0.058, 0.030, 0.090, 0.290, 0.380, 0.405, 0.430, 0.435, 0.190, 0.090),
    "grass": (0.026, 0.035, 0.070, 0.044, 0.105, 0.250, 0.310, 0.335, 0.355, 0.360, 0.215, 0.115),
    "broadleaf": (0.018, 0.024, 0.045, 0.024, 0.072, 0.235, 0.310, 0.330, 0.350, 0.360, 0.155, 0.072),
    "conifer": (0.016, 0.020, 0.034, 0.021, 0.050, 0.140, 0.180, 0.195, 0.210, 0.220, 0.100, 0.050),
    "heath": (0.024, 0.031, 0.048, 0.042, 0.078, 0.150, 0.180, 0.200, 0.220, 0.225, 0.180, 0.110),
    "scrub": (0.022, 0.029, 0.050, 0.033, 0.080, 0.210, 0.265, 0.285, 0.305, 0.310, 0.180, 0.092),
    "reed": (0.025, 0.033, 0.056, 0.042, 0.085, 0.200, 0.250, 0.270, 0.290, 0.295, 0.165, 0.085),
    "bog": (0.024, 0.032, 0.052, 0.046, 0.078, 0.150, 0.185, 0.200, 0.215, 0.220, 0.160, 0.090),
    "flower": (0.028, 0.040, 0.135, 0.125, 0.175, 0.310, 0.370, 0.410, 0.430, 0.435, 0.210, 0.110),
    "straw": (0.055, 0.075, 0.115, 0.150, 0.180, 0.220, 0.245, 0.275, 0.295, 0.310, 0.360, 0.270),
    "twigs": (0.030, 0.038, 0.050, 0.058, 0.080, 0.115, 0.135, 0.155, 0.175, 0.185, 0.195, 0.135),
    "soil": (0.055, 0.070, 0.098, 0.128, 0.148, 0.165, 0.180, 0.200, 0.215, 0.230, 0.285, 0.245),
    "peat": (0.022, 0.028, 0.038, 0.050, 0.062, 0.075, 0.085, 0.098, 0.108, 0.115, 0.160, 0.130),
    "sand": (0.115, 0.150, 0.205, 0.250, 0.270, 0.285, 0.300, 0.315, 0.330, 0.340, 0.400, 0.360),
    "gravel": (0.078, 0.096, 0.120, 0.140, 0.150, 0.158, 0.166, 0.178, 0.186, 0.194, 0.228, 0.205),
    "asphalt": (0.062, 0.072, 0.086, 0.098, 0.104, 0.110, 0.115, 0.122, 0.127, 0.132, 0.150, 0.138),
    "tile": (0.048, 0.057, 0.076, 0.118, 0.136, 0.148, 0.158, 0.172, 0.184, 0.192, 0.222, 0.202),
    "membrane": (0.105, 0.122, 0.136, 0.144, 0.150, 0.156, 0.162, 0.170, 0.176, 0.180, 0.192, 0.172),
    "sea": (0.030, 0.034, 0.030, 0.014, 0.010, 0.007, 0.006, 0.005, 0.004, 0.004, 0.002, 0.001),
    "lake": (0.022, 0.026, 0.036, 0.022, 0.020, 0.012, 0.011, 0.010, 0.009, 0.008, 0.004, 0.003),
    "silt": (0.050, 0.060, 0.085, 0.080, 0.070, 0.040, 0.038, 0.032, 0.028, 0.025, 0.008, 0.006),
}
_SPECTRA = {name: np.array(values, np.float32) for name, values in _LIBRARY.items()}
BANDS = 12

#: What each kind shows when it is green, what when it is not, and towards what its texture leans at +1.
_SHOWS: dict[Kind, tuple[str, str, str, float]] = {
    Kind.SEA: ("sea", "sea", "silt", 0.10),
    Kind.LAKE: ("lake", "lake", "silt", 0.12),
    Kind.RIVER: ("silt", "lake", "silt", 0.05),
    Kind.CONIFER: ("conifer", "conifer", "light", 0.22),
    Kind.BROADLEAF: ("broadleaf", "twigs", "light", 0.20),
    Kind.PLANTATION: ("scrub", "twigs", "straw", 0.10),
    Kind.HEDGE: ("broadleaf", "twigs", "light", 0.15),
    Kind.HEATH: ("heath", "heath", "light", -0.12),
    Kind.SCRUB: ("scrub", "twigs", "light", -0.14),
    Kind.MEADOW: ("grass", "straw", "straw", 0.05),
    Kind.PASTURE: ("grass", "straw", "soil", 0.06),
    Kind.DRY_GRASS: ("grass", "straw", "straw", 0.07),
    Kind.WINTER_CEREAL: ("crop", "soil", "soil", 0.10),
    Kind.RAPESEED: ("crop", "soil", "soil", 0.08),
    Kind.MAIZE: ("crop", "soil", "soil", 0.12),
    Kind.BEET: ("crop", "soil", "soil", 0.12),
    Kind.SPRING_CEREAL: ("crop", "soil", "soil", 0.10),
    Kind.FALLOW: ("grass", "soil", "straw", 0.12),
    Kind.ROAD: ("asphalt", "asphalt", "light", 0.08),
    Kind.TILE_ROOF: ("tile", "tile", "light", 0.18),
    Kind.FLAT_ROOF: ("membrane", "membrane", "light", 0.12),
    Kind.PAVED: ("grass", "asphalt", "light", 0.15),
    Kind.GARDEN: ("scrub", "soil", "grass", 0.30),
    Kind.SAND: ("sand", "sand", "light", 0.09),
    Kind.GRAVEL: ("gravel", "gravel", "light", 0.12),
    Kind.RAW_SOIL: ("soil", "soil", "light", 0.14),
    Kind.REED: ("reed", "straw", "lake", 0.16),
    Kind.BOG: ("bog", "straw", "lake", 0.18),
}

_BRIGHTNESS: dict[Kind, float] = {
    Kind.TILE_ROOF: 0.28,
    Kind.FLAT_ROOF: 0.40,
    Kind.PAVED: 0.25,
    Kind.SAND: 0.12,
    Kind.GRAVEL: 0.20,
    Kind.RAW_SOIL: 0.20,
}
"""Spread of the brightness of variants, as a share; 0.08 where not named."""


def reflectance(seed: int, day: int) -> tuple[Floats, Floats]:
    """What units look like on a day of the year: their spectra and the change of them per unit of texture.

    Returns:
        Two arrays of shape (UNITS, 12): fractions.
    """
    means, slopes = np.empty((UNITS, BANDS), np.float32), np.empty((UNITS, BANDS), np.float32)
    for kind in Kind:
        rows = np.s_[kind * VARIANTS : (kind + 1) * VARIANTS]
        green, flower, ripe = greenness(kind, seed, day)
        shows, bare, leans, strength = _SHOWS[kind]
        rest = (1 - ripe) * _soil(bare, seed, kind) + ripe * _SPECTRA["straw"]
        alive = (1 - flower) * _SPECTRA[shows] + flower * _SPECTRA["flower"]
        mean = (green * alive + (1 - green) * rest) * np.exp(_departure(seed, kind))
        toward = mean * 2 if leans == "light" else _SPECTRA[leans]
        means[rows] = mean
        slopes[rows] = np.float32(strength) * np.exp(spread(seed, kind, "contrast", 0.4, 0.1)) * (toward - mean)
    return means, slopes


def _departure(seed: int, kind: Kind) -> Floats:
    """Logarithm of what variants reflect more than their kind, shape (1024, 12): lighter or darker, redder or bluer."""
    if COVER[kind] == 80:
        return np.zeros((VARIANTS, BANDS), np.float32)
    ramp = np.linspace(-1, 1, BANDS, dtype=np.float32)
    level = spread(seed, kind, "brightness", 0.18, _BRIGHTNESS.get(kind, 0.08))
    slope = spread(seed, kind, "slope", 0.10, 0.04)
    bend = spread(seed, kind, "bend", 0.08, 0.03)
    return level + slope * ramp + bend * (ramp * ramp - np.float32(0.4))


def _soil(name: str, seed: int, kind: Kind) -> Floats:
    """Spectra of the bare ground of 1,024 variants: soils differ in moisture and humus, other grounds do not."""
    base = np.broadcast_to(_SPECTRA[name], (VARIANTS, BANDS))
    if name != "soil":
        return base
    humus = 1 / (1 + np.exp(np.float32(0.6) - spread(seed, kind, "humus", 1.0, 0.6)))
    return np.asarray((1 - humus) * base * np.float32(1.15) + humus * _SPECTRA["peat"], np.float32)
