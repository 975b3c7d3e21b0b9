"""What Sentinel-2 delivers of the ground: twelve bands of Level-2A numbers and the scene classification."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from croma.grid import GeoBox
from croma.sensors import SENTINEL_2_L2A
from croma.simulate.frame import Frame
from croma.simulate.ground import TEXTURE_SCALE, Land
from croma.simulate.kinds import COVER, Kind, kind_of
from croma.simulate.noise import Floats, blurred, generator
from croma.simulate.periodic import under
from croma.simulate.sky import Air, Relief, Sky
from croma.simulate.spec import OpticalPass
from croma.simulate.spectra import BANDS, reflectance

QUANTIFICATION = 10_000
"""Numbers per reflectance of 1."""

OFFSET = 1_000
"""Added to the numbers from processing baseline 04.00 on."""

_PATH = np.array([52, 46, 31, 23, 19, 15, 13, 11, 10, 9, 4, 3], np.float32) / 1000
"""Light scattered by haze that reaches the sensor without touching the ground."""

_CLOUD = np.array([52, 53, 54, 56, 57, 58, 59, 60, 61, 50, 42, 34], np.float32) / 100
_SKYLIGHT = np.linspace(0.42, 0.22, BANDS, dtype=np.float32)
"""Share of light that is left in a shadow: blue sky light above all."""

BLUR = 0.18
"""Share of a 10 m pixel's light that comes from each of its neighbours along an axis."""

_NOISE = 640


@dataclass(frozen=True, slots=True)
class OpticalTile:
    """Pixels of one tile of one pass, as files hold them."""

    bands: dict[str, npt.NDArray[np.uint16]]
    """By band name, at native resolution; 0 is nodata."""
    classes: npt.NDArray[np.uint8]
    """Scene classification (SCL) at 20 m; 0 is nodata."""


@dataclass(frozen=True, slots=True)
class Camera:
    """One optical pass over a world: what all of its tiles share."""

    frame: Frame
    scene: OpticalPass
    sky: Sky
    means: Floats
    """Reflectance by band and unit, calibration and sun of the day included."""
    slopes: Floats
    """Change of it per unit of texture."""
    offset: float
    """Error of the atmospheric correction, in parts of `_PATH`."""

    @classmethod
    def over(cls, frame: Frame, scene: OpticalPass, relief: Relief) -> "Camera":
        """The camera of a pass."""
        seed = frame.spec.seed
        means, slopes = reflectance(seed, scene.time.timetuple().tm_yday)
        gain = _gain(seed, scene)
        offset = float(generator("offset", seed, scene.time.isoformat()).normal(0, 0.12))
        return cls(frame, scene, Sky(frame, scene, relief), _by_band(means * gain), _by_band(slopes * gain), offset)

    def look(self, land: Land, inside: npt.NDArray[np.bool_]) -> OpticalTile:
        """The tile over `land`; `inside` says which pixels (10 m) lie in the swath."""
        bands: dict[str, npt.NDArray[np.uint16]] = {}
        keep: dict[str, Floats] = {}
        for resolution in SENTINEL_2_L2A.resolutions:
            box, units, texture, blocks = _sampled(land, resolution)
            air, lit = self.sky.over(self.frame, box), 1 + self.sky.tilt(self.frame, box)
            covered = _all_inside(inside, resolution // 10)
            for number in SENTINEL_2_L2A.at(resolution):
                name = SENTINEL_2_L2A.bands[number].name
                ground = self._ground(number, units, texture, blocks) * lit
                seen = self._through(air, ground, number)
                if resolution == 20:
                    keep[name] = seen
                bands[name] = self._numbers(seen, number, box, covered)
                if resolution == 20:
                    air20, covered20 = air, covered
        return OpticalTile(bands, _classes(land, keep, air20, covered20))

    def _ground(self, band: int, units: npt.NDArray[np.intp], texture: Floats, blocks: int) -> Floats:
        seen = self.slopes[band].take(units, mode="clip")
        seen *= texture
        seen += self.means[band].take(units, mode="clip")
        return _block_mean(seen, blocks) if blocks > 1 else blurred(seen, BLUR)

    def _through(self, air: Air, ground: Floats, band: int) -> Floats:
        """Reflectance as seen through the air, in place."""
        ground *= 1 - (1 - _SKYLIGHT[band]) * air.shadow
        residual = np.float32(0.75) * np.float32(self.scene.haze) * np.float32(0.55)
        ground *= 1 - np.float32(0.22) * air.haze
        ground += _PATH[band] * (air.haze - residual) + _PATH[band] * np.float32(self.offset)
        ground += air.cloud * (_CLOUD[band] * (np.float32(0.75) + np.float32(0.25) * air.cloud) - ground)
        return ground

    def _numbers(self, seen: Floats, band: int, box: GeoBox, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint16]:
        noise = under(_white(self.frame.spec.seed, self.scene.time.isoformat()), box, shift=band * 389)
        values = seen + noise * (np.float32(0.0008) + np.float32(0.005) * np.abs(seen))
        values *= QUANTIFICATION
        values += OFFSET if float(self.scene.baseline) >= 4 else 0
        numbers = np.clip(np.rint(values), 1, 65535).astype(np.uint16)
        numbers[~inside] = 0
        return numbers


def _by_band(table: Floats) -> Floats:
    return np.ascontiguousarray(table.T)


def _gain(seed: int, scene: OpticalPass) -> Floats:
    """Departure of the day's calibration, view and illumination from the library: a factor for each band.

    A product made again of the same datatake differs from the first one by a fraction of a percent.
    """
    rng = generator("gain", seed, scene.time.isoformat())
    ramp = np.linspace(-1, 1, BANDS)
    spread = 0.09 * rng.standard_normal() + 0.06 * rng.standard_normal() * ramp + 0.02 * rng.standard_normal(BANDS)
    again = 0.003 * generator("baseline", seed, scene.time.isoformat(), scene.baseline).standard_normal(BANDS)
    return np.exp(spread + again).astype(np.float32)


def _sampled(land: Land, resolution: int) -> tuple[GeoBox, npt.NDArray[np.intp], Floats, int]:
    """The pixels of a band's grid, the ground samples it averages over, and how many of them a side."""
    box = land.box
    factor = resolution // 10
    band = box._replace(resolution=resolution, height=box.height // factor, width=box.width // factor)
    stride, blocks = {1: (1, 1), 2: (1, 2), 6: (3, 2)}[factor]
    samples = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    texture = land.texture[samples].astype(np.float32)
    texture *= np.float32(1 / TEXTURE_SCALE)
    return band, land.units[samples].astype(np.intp), texture, blocks


def _block_mean(values: Floats, side: int) -> Floats:
    rows, columns = values.shape[0] // side, values.shape[1] // side
    total = values[0::side, 0::side].copy()
    for row in range(side):
        for column in range(side):
            if row or column:
                total += values[row::side, column::side]
    assert total.shape == (rows, columns)
    total *= np.float32(1 / side**2)
    return total


@lru_cache(maxsize=2)
def _white(seed: int, time: str) -> Floats:
    return generator("sensor noise", seed, time).standard_normal((_NOISE, _NOISE), dtype=np.float32)


def _all_inside(inside: npt.NDArray[np.bool_], factor: int) -> npt.NDArray[np.bool_]:
    """Whether all of the 10 m pixels under each coarser pixel are inside."""
    if factor == 1:
        return inside
    rows, columns = inside.shape[0] // factor, inside.shape[1] // factor
    cut = inside[: rows * factor, : columns * factor]
    return np.asarray(cut.reshape(rows, factor, columns, factor).all(axis=(1, 3)))


_WATER = np.array([COVER[kind] == 80 for kind in Kind])


def _classes(land: Land, seen: dict[str, Floats], air: Air, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """The scene classification as Sen2Cor would draw it: by greenness and brightness, clouds and shadows over all."""
    red, infrared = seen["B05"], seen["B8A"]
    greenness = (infrared - red) / np.maximum(infrared + red, np.float32(0.02))
    classes = np.where(greenness > np.float32(0.36), 4, 5).astype(np.uint8)
    classes[infrared < np.float32(0.085)] = 2
    classes[_WATER[kind_of(land.units[::2, ::2])] & (infrared < np.float32(0.1))] = 6
    classes[air.shadow > np.float32(0.35)] = 3
    classes[air.cloud > np.float32(0.15)] = 10
    classes[air.cloud > np.float32(0.30)] = 8
    classes[air.cloud > np.float32(0.62)] = 9
    classes[~inside] = 0
    return classes
