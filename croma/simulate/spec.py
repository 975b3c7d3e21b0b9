"""What a simulated world is: its seed, its tiles, and who looked at it when."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from croma.document import Document

Share = Annotated[float, Field(ge=0, le=1)]


class OpticalPass(Document):
    """One Sentinel-2 datatake, processed once. Two passes of equal `time` are one datatake, processed twice."""

    time: datetime
    platform: Literal["S2A", "S2B"]
    relative_orbit: int = Field(ge=1, le=143)
    baseline: Annotated[str, Field(pattern=r"^\d\d\.\d\d$")]
    """Processing baseline; from 04.00 on the numbers carry an offset of 1000, whatever the sensing date."""
    generated: datetime
    """When this product was made."""
    cloud: Share
    """Share of the world under opaque cloud."""
    haze: Share
    """0 is a clean atmospheric correction, 1 a poor one on a hazy day."""
    covered: Share = 1.0
    """Share of the world inside the swath, counted from the east; the rest is nodata."""
    tiles: int | None = None
    """Deliver only the first so many tiles; all of them by default."""


class RadarPass(Document):
    """One Sentinel-1 overpass."""

    time: datetime
    platform: Literal["S1A", "S1B"]
    relative_orbit: int = Field(ge=1, le=175)
    orbit_state: Literal["ascending", "descending"]
    wet: Share = 0.3
    """How wet the ground is: bare soil brightens."""
    wind: Share = 0.3
    """How rough the water is: it brightens."""
    mode: Literal["IW", "EW"] = "IW"
    polarizations: tuple[Literal["VV", "VH", "HH", "HV"], ...] = ("VV", "VH")
    frames: Literal["each zone", "wide", "west", "east"] = "each zone"
    """Which scenes the pass becomes: one in the zone of each column of tiles, one across both in the eastern zone
    (so that western chips must be resampled), or one of the two only."""
    covered: Share = 1.0
    """Share of each scene inside the swath, counted from the east; the rest is −32768."""
    zero_filled: Share = 0.0
    """Share of each scene, counted from the west, that is 0 instead of nodata, as border noise removal leaves it."""
    stale_transform: bool = False
    """The items' `proj:transform` and `proj:bbox` are wrong; the files are right."""


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _optical(
    time: str, platform: Literal["S2A", "S2B"], orbit: int, baseline: str, generated: str, **more: float | int
) -> OpticalPass:
    fields = {"platform": platform, "relative_orbit": orbit, "baseline": baseline, **more}
    return OpticalPass.model_validate({"time": _utc(time), "generated": _utc(generated), **fields})


OPTICAL = (
    _optical("2021-04-20T10:20:21.024", "S2A", 22, "03.00", "2021-04-20T13:22:35", cloud=0.06, haze=0.3),
    # Sensed before 2022-01-25 and yet with the offset: a rule by date gets it wrong.
    _optical("2021-06-12T10:10:31.024", "S2A", 65, "05.00", "2023-02-14T21:07:12", cloud=0.12, haze=0.6),
    _optical("2021-09-07T10:20:31.024", "S2A", 22, "03.01", "2021-09-07T13:40:09", cloud=0.03, haze=0.2),
    # The same datatake processed again: of duplicates the newest wins.
    _optical("2021-09-07T10:20:31.024", "S2A", 22, "05.00", "2023-01-30T04:11:48", cloud=0.03, haze=0.2, tiles=2),
    _optical("2021-10-17T10:20:21.024", "S2A", 22, "03.01", "2021-10-17T13:39:51", cloud=0.93, haze=0.8, tiles=1),
    _optical("2022-03-06T10:20:21.024", "S2A", 22, "04.00", "2022-03-06T14:02:33", cloud=0.04, haze=0.5),
    _optical("2022-05-13T10:10:29.024", "S2B", 65, "04.00", "2022-05-13T12:53:25", cloud=0.08, haze=0.1, covered=0.72),
    _optical("2022-07-19T10:20:29.024", "S2B", 22, "04.00", "2022-07-19T13:30:02", cloud=0.15, haze=0.9),
    # No radar pass within days: a place that must stay without a pair.
    _optical("2022-10-22T10:20:21.024", "S2A", 22, "04.00", "2022-10-22T14:15:40", cloud=0.02, haze=0.4, tiles=1),
)


def _radar(time: str, platform: str, orbit: int, orbit_state: str, **more: object) -> RadarPass:
    fields = {"platform": platform, "relative_orbit": orbit, "orbit_state": orbit_state, **more}
    return RadarPass.model_validate({"time": _utc(time), **fields})


RADAR = (
    _radar("2021-04-19T17:01:12.436706", "S1A", 44, "ascending", wet=0.2, wind=0.5),
    # Closer in time than its neighbours, and of no use: the wrong mode.
    _radar("2021-04-20T16:52:40.871204", "S1B", 146, "ascending", mode="EW", polarizations=("HH", "HV"), frames="east"),
    _radar("2021-04-22T05:25:03.220006", "S1B", 168, "descending", wet=0.5, wind=0.2),
    _radar("2021-06-12T17:00:31.905113", "S1B", 44, "ascending", wet=0.1, wind=0.1, covered=0.8),
    # Closer again, and of no use: one polarisation only.
    _radar("2021-09-07T05:25:08.120411", "S1A", 168, "descending", polarizations=("VV",), frames="west"),
    _radar("2021-09-08T05:17:28.664190", "S1B", 95, "descending", wet=0.4, wind=0.6, stale_transform=True),
    _radar("2022-03-06T05:25:21.310542", "S1A", 168, "descending", wet=0.9, wind=0.8, zero_filled=0.15),
    _radar("2022-05-15T16:53:18.745820", "S1A", 146, "ascending", wet=0.3, wind=0.4, frames="wide"),
    _radar("2022-07-19T17:01:18.072933", "S1A", 44, "ascending", wet=0.6, wind=0.3),
)
"""Passes of the two satellites as their orbits allow: Sentinel-1B fell silent in December 2021."""


class WorldSpec(Document):
    """A stretch of coast on the border of two UTM zones, and the satellites that passed over it.

    Two columns of Sentinel-2 tiles, one in the zone west of `longitude` and one in the zone east of it; neighbours
    overlap, as MGRS tiles do.
    """

    seed: int = 0
    longitude: float = Field(12.0, multiple_of=6)
    """A border between UTM zones, degrees."""
    latitude: float = Field(54.3, ge=-75, le=75)
    """Degrees, of the middle of the world."""
    tile: int = Field(2196, gt=0, multiple_of=6)
    """Side of a tile in pixels of 10 m; a fifth of a real one by default."""
    step: int = Field(1998, gt=0, multiple_of=6)
    """Pixels of 10 m between the top edges of the tiles of a column; less than `tile`, so they overlap."""
    rows: int = Field(2, ge=1, le=4)
    """Tiles in each of the two columns."""
    optical: tuple[OpticalPass, ...] = OPTICAL
    radar: tuple[RadarPass, ...] = RADAR


DEMO = WorldSpec()
"""About 1,900 km² in four tiles: some 1,200 places of 1.2 km, six dates."""

TINY = WorldSpec(tile=510, step=456)
"""For tests: everything the demo world has, on 5.1 km tiles."""
