"""What lies between the ground and the optical sensor on one day: sun, swath, clouds, their shadows, haze."""

from dataclasses import dataclass

import numpy as np

from croma.grid import GeoBox
from croma.simulate.frame import Frame
from croma.simulate.noise import Field, Floats, enlarge, generator, interpolated
from croma.simulate.spec import OpticalPass

CIRRUS = 0.07
"""Opacity of the thin cirrus of a hazy day, on average; too thin for the scene classification to see."""

GRAIN = 40.0
"""Metres between the points at which the air is drawn."""

CLOUD_HEIGHT = 1400.0
"""Metres; decides how far shadows fall from their clouds."""


@dataclass(frozen=True, slots=True)
class Sun:
    """Where the sun stands, degrees."""

    zenith: float
    azimuth: float
    """From north over east."""

    @classmethod
    def over(cls, frame: Frame, scene: OpticalPass) -> "Sun":
        """The sun over the middle of the world (declination and hour angle; good to a degree)."""
        day = scene.time.timetuple().tm_yday
        hours = scene.time.hour + scene.time.minute / 60
        declination = np.radians(-23.44) * np.cos(2 * np.pi * (day + 10) / 365.25)
        latitude = np.radians(frame.spec.latitude)
        angle = np.radians((hours - 12) * 15 + frame.spec.longitude)
        height = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(angle)
        azimuth = np.arctan2(-np.sin(angle), np.tan(declination) * np.cos(latitude) - np.sin(latitude) * np.cos(angle))
        return cls(float(np.degrees(np.arccos(height))), float(np.degrees(azimuth) % 360))

    @property
    def shadow(self) -> tuple[float, float]:
        """Metres east and north from a cloud to its shadow."""
        reach = CLOUD_HEIGHT * np.tan(np.radians(min(self.zenith, 75.0)))
        return float(-reach * np.sin(np.radians(self.azimuth))), float(-reach * np.cos(np.radians(self.azimuth)))


@dataclass(frozen=True, slots=True)
class Air:
    """The atmosphere over a grid of points, each array of the grid's shape, 0 to 1."""

    cloud: Floats
    """Opacity of clouds."""
    shadow: Floats
    """Depth of cloud shadow."""
    haze: Floats


class Relief:
    """The lie of the land: hills of a few kilometres."""

    PIXEL = 40.0

    def __init__(self, seed: int) -> None:
        heights = Field.fractal("relief", seed, longest=3000.0, slope=2.7, pixel=self.PIXEL, size=1024).values
        self._east = (np.roll(heights, -1, 1) - np.roll(heights, 1, 1)) * np.float32(0.3)
        self._north = (np.roll(heights, -1, 0) - np.roll(heights, 1, 0)) * np.float32(0.3)

    def lit(self, sun: Sun) -> Floats:
        """How much more light sloping ground gets than level ground: a share around 0, on the field's own grid."""
        azimuth, slant = np.radians(sun.azimuth), np.tan(np.radians(min(sun.zenith, 70.0)))
        toward = self._east * np.float32(np.sin(azimuth)) + self._north * np.float32(np.cos(azimuth))
        return np.clip(toward * np.float32(-slant), -0.35, 0.35)


class Sky:
    """The sky of one datatake; the same in all tiles that saw it, and in every product made of it."""

    def __init__(self, frame: Frame, scene: OpticalPass, relief: Relief) -> None:
        self.sun = Sun.over(frame, scene)
        key = (frame.spec.seed, scene.time.isoformat())
        longest = float(generator("cloud size", *key).choice([1800.0, 4000.0, 9000.0]))
        self._clouds = Field.fractal("cloud", *key, longest=longest, slope=2.1, pixel=GRAIN, size=1024)
        self._veil = Field.fractal("veil", *key, longest=7000.0, slope=2.4, pixel=80.0)
        self._cirrus = Field.fractal("cirrus", *key, longest=2500.0, slope=2.2, pixel=80.0)
        self._level = float(np.quantile(self._clouds.values, 1 - scene.cloud)) if scene.cloud else np.inf
        self._haze = scene.haze
        self._lit = relief.lit(self.sun)

    def air(self, frame: Frame, box: GeoBox, every: int) -> tuple[Floats, Floats, Floats]:
        """Cloud, shadow and haze at the nodes of `box` (see `Frame.nodes`)."""
        x, y = frame.nodes(box, every)
        east, north = self.sun.shadow
        cloud = self._opacity(x, y)
        thin = np.float32(CIRRUS * self._haze) * np.clip(np.float32(0.6) + self._cirrus.at(x, y), 0, 1.6)
        cloud = np.maximum(cloud, thin)
        shadow = self._opacity(x - np.float32(east), y - np.float32(north)) * (1 - cloud)
        haze = np.clip(
            np.float32(0.55 * self._haze) + np.float32(0.1 + 0.25 * self._haze) * self._veil.at(x, y), 0, 1.5
        )
        return cloud, shadow, haze

    def over(self, frame: Frame, box: GeoBox) -> Air:
        """The air over every pixel of `box` (of 10, 20 or 60 m)."""
        every = max(int(GRAIN // box.resolution), 1)
        return Air(*(enlarge(part, every, box.height, box.width) for part in self.air(frame, box, every)))

    def tilt(self, frame: Frame, box: GeoBox) -> Floats:
        """How much more light each pixel of `box` gets than level ground, a share around 0; shape (height, width)."""
        every = max(int(Relief.PIXEL // box.resolution), 1)
        x, y = frame.nodes(box, every)
        return enlarge(interpolated(self._lit, Relief.PIXEL, x, y), every, box.height, box.width)

    def _opacity(self, x: Floats, y: Floats) -> Floats:
        if not np.isfinite(self._level):
            return np.zeros_like(x)
        ramp = np.clip((self._clouds.at(x, y) - np.float32(self._level)) / np.float32(0.35) + np.float32(0.5), 0, 1)
        return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)
