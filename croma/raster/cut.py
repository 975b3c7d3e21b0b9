"""From pairs to chips: read both sensors on one geobox, bring them to stored units, judge, and say why not.

Cloud is judged first, from the one small file that shows it, so that fourteen others are not read for a chip that is
refused anyway.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rasterio.warp import transform as reproject

from croma.catalog.scene import Scene
from croma.chip import Chip, Rejection
from croma.errors import UnusableError
from croma.grid import PIXEL
from croma.pairing import Pair
from croma.raster.quality import (
    SCL,
    SCL_RESOLUTION,
    Excess,
    Limits,
    Sky,
    clear,
    hidden,
    missing,
    optical_nodata,
    radar_nodata,
    sky,
)
from croma.raster.radiometry import scaling
from croma.raster.read import Patch, Signer, Want, read_wants
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A, Sensor

UNREADABLE = "unreadable"
"""Reason of a refusal: a file is missing or broken."""


class Subject(NamedTuple):
    """A pair with its scenes."""

    pair: Pair
    radar: Scene
    optical: Scene


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """A chip, and what is known of its sky."""

    chip: Chip
    """Without a label."""
    clear: npt.NDArray[np.bool_] | None
    """Which pixels of 20 m show the ground, by the scene classification; None where there is none."""


Bands = Mapping[str, Patch]
"""Patches of one scene by band name."""


def cut(
    subjects: Sequence[Subject], size: int, limits: Limits, signer: Signer, pool: Executor
) -> list[Cut | Rejection]:
    """Cut every pair, in the given order. The result depends on nothing but files, `size` and `limits`.

    Args:
        subjects: pairs with their scenes; pairs that share scenes share reads.
        size: pixels of 10 m along a side.
        limits: what a chip may lack.
        signer: makes addresses readable.
        pool: reads files side by side.

    Raises:
        TransientError: a server does not answer.
    """
    skies = _read_skies(subjects, size, signer, pool)
    results: dict[int, Cut | Rejection] = {}
    for number, (subject, scl) in enumerate(zip(subjects, skies, strict=True)):
        if isinstance(scl, UnusableError):
            results[number] = unreadable(subject.pair, scl)
        elif scl and (excess := hidden(sky(scl.pixels), limits)):
            results[number] = _refused(subject, excess, subject.optical.id)
    alive = [number for number in range(len(subjects)) if number not in results]
    bands = _read_bands([subjects[number] for number in alive], size, signer, pool)
    for number, read in zip(alive, bands, strict=True):
        scl = skies[number]
        assert not isinstance(scl, UnusableError)
        if isinstance(read, UnusableError):
            results[number] = unreadable(subjects[number].pair, read)
        else:
            results[number] = _judge(subjects[number], size, limits, scl, *read)
    return [results[number] for number in range(len(subjects))]


def _read_skies(
    subjects: Sequence[Subject], size: int, signer: Signer, pool: Executor
) -> list[Patch | UnusableError | None]:
    """The scene classification of every subject; None where its scene has none."""
    having = [number for number, subject in enumerate(subjects) if SCL in subject.optical.assets]
    wants = [
        Want(subjects[number].optical, SCL, subjects[number].pair.cell.geobox(size, SCL_RESOLUTION))
        for number in having
    ]
    found = dict(zip(having, read_wants(wants, signer, pool), strict=True))
    return [found.get(number) for number in range(len(subjects))]


def _read_bands(
    subjects: Sequence[Subject], size: int, signer: Signer, pool: Executor
) -> list[tuple[Bands, Bands] | UnusableError]:
    """All radar and all optical bands of every subject, or the first error among them."""
    wants: list[Want] = []
    for subject in subjects:
        wants += _wants(subject.radar, SENTINEL_1_RTC, subject.pair, size)
        wants += _wants(subject.optical, SENTINEL_2_L2A, subject.pair, size)
    patches = iter(read_wants(wants, signer, pool))
    results: list[tuple[Bands, Bands] | UnusableError] = []
    for _ in subjects:
        radar = {band.name: next(patches) for band in SENTINEL_1_RTC.bands}
        optical = {band.name: next(patches) for band in SENTINEL_2_L2A.bands}
        broken = [patch for patch in (*radar.values(), *optical.values()) if isinstance(patch, UnusableError)]
        results.append(broken[0] if broken else (_whole(radar), _whole(optical)))
    return results


def _wants(scene: Scene, sensor: Sensor, pair: Pair, size: int) -> Iterable[Want]:
    for band in sensor.bands:
        asset = scene.assets.get(band.name)
        how = scaling(sensor.role, asset.scale, asset.offset) if asset else scaling(sensor.role)
        yield Want(scene, band.name, pair.cell.geobox(size, band.resolution), how)


def _whole(patches: Mapping[str, Patch | UnusableError]) -> Bands:
    return {name: patch for name, patch in patches.items() if isinstance(patch, Patch)}


def _judge(
    subject: Subject, size: int, limits: Limits, scl: Patch | None, radar: Bands, optical: Bands
) -> Cut | Rejection:
    """Put the bands of a pair together, measure what is missing, and make the chip or refuse it."""
    decibels = np.stack([radar[band.name].pixels for band in SENTINEL_1_RTC.bands])
    reflectance = {
        resolution: np.stack([optical[SENTINEL_2_L2A.bands[i].name].pixels for i in SENTINEL_2_L2A.at(resolution)])
        for resolution in SENTINEL_2_L2A.resolutions
    }
    holes = optical_nodata(reflectance), radar_nodata(decibels)
    if excess := missing(*holes, limits):
        scene = subject.optical if excess.reason == "optical-nodata" else subject.radar
        return _refused(subject, excess, scene.id)
    chip = Chip(
        id=subject.pair.chip,
        cell=subject.pair.cell,
        radar=decibels,
        optical=reflectance,
        label=None,
        facts=_provenance(subject, size)
        | _quality(sky(scl.pixels) if scl else None, *holes)
        | _readers([*radar.values(), *optical.values()]),
    )
    return Cut(chip=chip, clear=clear(scl.pixels) if scl and scl.pixels.any() else None)


def _provenance(subject: Subject, size: int) -> dict[str, Any]:
    """The columns of the index that say where and when a chip is from."""
    pair, radar, optical = subject
    half = size * PIXEL / 2
    (longitude,), (latitude,) = reproject(
        f"EPSG:{pair.cell.epsg}", "EPSG:4326", [pair.cell.left + half], [pair.cell.top - half]
    )
    return {
        "longitude": round(longitude, 7),
        "latitude": round(latitude, 7),
        "radar_scene": radar.id,
        "optical_scene": optical.id,
        "radar_time": radar.time.isoformat(),
        "optical_time": optical.time.isoformat(),
        "gap_hours": pair.gap_hours,
        "orbit_state": radar.orbit_state,
        "radar_relative_orbit": radar.relative_orbit,
        "optical_relative_orbit": optical.relative_orbit,
        "baseline": optical.baseline,
        "tile": optical.tile,
    }


def _quality(found: Sky | None, optical: float, radar: float) -> dict[str, Any]:
    """The columns of the index that say how good a chip is."""
    return {
        "cloud": found and round(found.cloud, 6),
        "snow": found and round(found.snow, 6),
        "optical_nodata": round(optical, 6),
        "radar_nodata": round(radar, 6),
    }


def _readers(patches: Iterable[Patch]) -> dict[str, Any]:
    """The columns of the index that say how a chip was read."""
    resampled = any(patch.reader == "stack" for patch in patches)
    return {"resampled": resampled, "reader": "stack" if resampled else "window"}


def _refused(subject: Subject, excess: Excess, scene: str) -> Rejection:
    pair = subject.pair
    return Rejection(chip=pair.chip, cell=pair.cell, reason=excess.reason, detail=f"{scene}: {excess.detail}")


def unreadable(pair: Pair, error: UnusableError) -> Rejection:
    """The refusal of a pair of which some file is missing or broken; the error says which."""
    return Rejection(chip=pair.chip, cell=pair.cell, reason=UNREADABLE, detail=str(error))
