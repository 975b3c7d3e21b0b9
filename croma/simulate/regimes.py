"""Which land use rules where: sea and lakes, forest, heath, grassland, cropland, towns, bare ground, wetland.

Each land use has a smooth random potential; the highest one rules. Offsets are adjusted until each has its share of the
world, so every seed gives a balanced world with patches of a few kilometres.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from croma.simulate.noise import Field, Floats, generator


class Regime(IntEnum):
    """A land use that rules a patch of several kilometres."""

    WATER = 0
    FOREST = 1
    HEATH = 2
    GRASS = 3
    CROP = 4
    TOWN = 5
    BARE = 6
    WETLAND = 7


QUOTA: dict[Regime, float] = {
    Regime.WATER: 0.13,
    Regime.FOREST: 0.155,
    Regime.HEATH: 0.10,
    Regime.GRASS: 0.155,
    Regime.CROP: 0.165,
    Regime.TOWN: 0.135,
    Regime.BARE: 0.08,
    Regime.WETLAND: 0.08,
}
"""Share of the world that each rules."""

PATCH = 7000.0
"""Metres from patch to patch of one land use."""


@dataclass(frozen=True, slots=True)
class River:
    """A meandering river that runs north: its line x(y), and its width, in world metres."""

    middle: float
    swings: tuple[tuple[float, float, float], ...]
    """(amplitude, wavelength, phase) of each sine, metres, metres, radians."""
    width: float

    @classmethod
    def draw(cls, seed: int, number: int, middle: float, width: float) -> "River":
        """A river near x = `middle`."""
        rng = generator("river", seed, number)
        swings = tuple(
            (amplitude * rng.uniform(0.7, 1.2), wavelength * rng.uniform(0.8, 1.2), rng.uniform(0, 2 * np.pi))
            for amplitude, wavelength in ((1800.0, 17000.0), (420.0, 4300.0), (110.0, 1300.0))
        )
        return cls(middle, swings, width)

    def offset(self, x: Floats, y: Floats) -> Floats:
        """Signed distance from the river's line, metres, good near the line."""
        line = np.full_like(y, self.middle)
        slope = np.zeros_like(y)
        for amplitude, wavelength, phase in self.swings:
            k = 2 * np.pi / wavelength
            line += np.float32(amplitude) * np.sin(np.float32(k) * y + np.float32(phase))
            slope += np.float32(amplitude * k) * np.cos(np.float32(k) * y + np.float32(phase))
        return np.asarray((x - line) / np.sqrt(1 + slope**2), np.float32)


class LandUse:
    """The land-use map of a world, as a function of world coordinates."""

    def __init__(self, seed: int, reach: tuple[Floats, Floats]) -> None:
        """Args:
        seed: Of the world.
        reach: Points all over the world, x and y, by which the shares are balanced.
        """
        self._fields = [Field.smooth("regime", seed, int(r), wavelength=PATCH, pixel=100.0) for r in Regime]
        self._warp = [Field.fractal("warp", seed, i, longest=700.0, slope=2.2, pixel=20.0, size=1024) for i in (0, 1)]
        half = float(np.abs(reach[1]).max())
        self._half = half
        self.rivers = (
            River.draw(seed, 0, -0.45 * half, 130.0),
            River.draw(seed, 1, 0.5 * half, 70.0),
        )
        self._offsets = np.zeros(len(Regime), np.float32)
        self._offsets = _balanced(self.potentials(*reach))

    def bent(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Points moved about by a hundred metres, so that borders drawn between them wind as in nature."""
        reach = np.float32(110.0)
        return x + reach * self._warp[0].at(x, y), y + reach * self._warp[1].at(x, y)

    def potentials(self, x: Floats, y: Floats) -> Floats:
        """The potential of each land use at points, shape (8, …)."""
        scores = np.stack([field.at(*self.bent(x, y)) for field in self._fields])
        north = y / np.float32(self._half)
        scores[Regime.WATER] += np.float32(4.0) * np.clip(north - np.float32(0.45), -0.45, 0.5)
        scores[Regime.BARE] += np.float32(0.5) * north
        valley = np.zeros_like(x)
        for river in self.rivers:
            valley = np.maximum(valley, np.exp(-((river.offset(x, y) / np.float32(450.0)) ** 2)))
        scores[Regime.GRASS] += np.float32(0.9) * valley
        scores[Regime.WETLAND] += np.float32(0.7) * valley
        scores[Regime.TOWN] += np.float32(0.3) * valley
        return scores + self._offsets.reshape(-1, *([1] * x.ndim))


def _balanced(scores: Floats) -> Floats:
    """Offsets with which each land use is the highest in its quota of the points; `scores` has shape (8, points)."""
    flat = scores.reshape(len(Regime), -1)
    quota = np.array([QUOTA[r] for r in Regime], np.float64)
    offsets = np.zeros(len(Regime), np.float64)
    for _ in range(80):
        winners = np.argmax(flat + offsets[:, None].astype(np.float32), axis=0)
        shares: npt.NDArray[np.float64] = np.bincount(winners, minlength=len(Regime)) / winners.size
        offsets += 0.35 * (np.log(quota) - np.log(np.maximum(shares, 1e-3)))
    return offsets.astype(np.float32)
