"""What Sentinel-1 delivers of the ground after terrain correction: gamma nought as linear power, with speckle."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from croma.grid import GeoBox
from croma.simulate.backscatter import NEPER, echoes
from croma.simulate.frame import Frame
from croma.simulate.ground import TEXTURE_SCALE, Land
from croma.simulate.kinds import height_table
from croma.simulate.noise import Field, Floats, blurred, enlarge, generator
from croma.simulate.periodic import under
from croma.simulate.spec import RadarPass

NODATA = -32768.0
LOOKS = 4.4
"""Equivalent number of looks of ground range detected products of high resolution."""

BLUR = 0.22
"""Share of a pixel's echo that comes from each of its neighbours along an axis: 20 m are sampled every 10 m."""

_BLOCK = 640
_MANTISSA = 8
"""Bits of the mantissa that are kept: steps of 0.02 dB, and files half as large."""


@dataclass(frozen=True, slots=True)
class Antenna:
    """One radar pass over a world: what all of its scenes share."""

    frame: Frame
    scene: RadarPass
    levels: dict[str, tuple[Floats, Floats]]

    @classmethod
    def over(cls, frame: Frame, scene: RadarPass) -> "Antenna":
        """The antenna of a pass."""
        day = scene.time.timetuple().tm_yday
        return cls(frame, scene, echoes(frame.spec.seed, day, scene.orbit_state, scene.wet, scene.wind))

    def listen(self, land: Land, channel: str) -> Floats:
        """Linear power of a channel (vv, vh, hh, hv) over `land`, shape (height, width), without swath or faults.

        The horizontal channels, which only exist to be refused, sound like the vertical ones.
        """
        means, slopes = self.levels[channel.replace("hh", "vv").replace("hv", "vh")]
        units = land.units.astype(np.intp)
        power = slopes.take(units, mode="clip")
        power *= land.texture
        power *= np.float32(1 / TEXTURE_SCALE)
        power += means.take(units, mode="clip")
        power += self._walls(land)
        power += self._weather(land.box)
        np.exp(power, out=power)
        power = blurred(power, BLUR)
        power *= under(_speckle(self.frame.spec.seed, self.scene.time.isoformat(), channel), land.box)
        return _rounded(power)

    def _weather(self, box: GeoBox) -> Floats:
        """Showers, wind and calibration: smooth departures over kilometres, log power."""
        key = (self.frame.spec.seed, self.scene.time.isoformat())
        showers = Field.smooth("showers", *key, wavelength=9000.0, pixel=200.0, size=256)
        level = generator("radar level", *key).normal(0, 0.4)
        x, y = self.frame.nodes(box, 32)
        return enlarge(
            np.float32(NEPER) * (np.float32(0.9) * showers.at(x, y) + np.float32(level)), 32, box.height, box.width
        )

    def _walls(self, land: Land) -> Floats:
        """Forest edges and walls that face the radar are bright, those that turn away are in shadow; log power.

        Both satellites look to their right: eastwards when ascending, westwards when descending.
        """
        height = height_table().take(land.units)
        rise = np.zeros_like(height)
        rise[:, 1:-1] = height[:, 2:] - height[:, :-2]
        facing = 1 if self.scene.orbit_state == "ascending" else -1
        rise *= np.float32(facing * 0.11 * NEPER)
        return np.clip(rise, -2.5 * NEPER, 2.5 * NEPER, out=rise)


def _speckle(seed: int, time: str, channel: str) -> Floats:
    """A periodic block of speckle with mean 1: correlated between neighbours, since 20 m are sampled every 10 m."""
    kernel = np.array([0.22, 0.56, 0.22], np.float32)
    # Averaging leaves more looks than it finds: this many more.
    gained = 1 / float(np.sum(np.outer(kernel, kernel) ** 2))
    rng = generator("speckle", seed, time, channel)
    fine = rng.standard_gamma(LOOKS / gained, (_BLOCK, _BLOCK), dtype=np.float32)
    for axis in (0, 1):
        fine = ndimage.convolve1d(fine, kernel, axis, mode="wrap")
    block: Floats = fine / fine.mean()
    return block


def _rounded(power: Floats) -> Floats:
    """`power` with the mantissa rounded to `_MANTISSA` bits."""
    drop = 23 - _MANTISSA
    bits: npt.NDArray[np.uint32] = power.view(np.uint32)
    bits += np.uint32(1 << (drop - 1))
    bits &= np.uint32((0xFFFFFFFF << drop) & 0xFFFFFFFF)
    return power
