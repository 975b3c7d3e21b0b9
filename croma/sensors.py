"""The two sensors as data: bands in CROMA's order, native resolutions, dtypes, nodata.

Band order is that of SSL4EO-S12 and the released CROMA weights: twelve Level-2A bands, then VV and VH. STAC items list
B8A last, so order always comes from here, never from an item.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

Role = Literal["radar", "optical"]
Modality = Literal["radar", "optical", "joint"]
"""What a vector is made from: one sensor, or both."""
MODALITIES: tuple[Modality, ...] = get_args(Modality)


class Band(NamedTuple):
    """One channel of a sensor."""

    name: str
    """The provider's name: B02, vv."""
    resolution: int
    """Native pixel size in metres."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sensor:
    """A sensor as it is stored in a dataset."""

    name: str
    """The collection it comes from, in Planetary Computer's words."""
    role: Role
    bands: tuple[Band, ...]
    """In the order of the model's channels."""
    dtype: str
    """NumPy name of the stored type."""
    nodata: float
    """The value in source files that means "nothing was measured"."""

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Native resolutions in metres, finest first."""
        return tuple(sorted({band.resolution for band in self.bands}))

    def at(self, resolution: int) -> tuple[int, ...]:
        """Channel numbers of the bands native at `resolution`, ascending."""
        return tuple(i for i, band in enumerate(self.bands) if band.resolution == resolution)

    def channels(self, resolution: int, count: int) -> tuple[int, ...]:
        """Channel numbers of a plane of `count` bands at `resolution`: those native there, or all that there are."""
        return tuple(range(count)) if count == len(self.bands) else self.at(resolution)


SENTINEL_2_L2A = Sensor(
    name="sentinel-2-l2a",
    role="optical",
    bands=tuple(
        Band(name, resolution)
        for name, resolution in [
            ("B01", 60),
            ("B02", 10),
            ("B03", 10),
            ("B04", 10),
            ("B05", 20),
            ("B06", 20),
            ("B07", 20),
            ("B08", 10),
            ("B8A", 20),
            ("B09", 60),
            ("B11", 20),
            ("B12", 20),
        ]
    ),
    dtype="uint16",
    nodata=0,
)
"""Surface reflectance × 10,000, offset of processing baseline 04.00 removed; 0 is nodata, valid is positive."""

SENTINEL_1_RTC = Sensor(
    name="sentinel-1-rtc",
    role="radar",
    bands=(Band("vv", 10), Band("vh", 10)),
    dtype="float16",
    nodata=-32768,
)
"""Terrain-corrected gamma nought: linear power in the files; decibels in a dataset, where NaN is nodata."""

RADAR_CHANNELS = len(SENTINEL_1_RTC.bands)
OPTICAL_CHANNELS = len(SENTINEL_2_L2A.bands)
