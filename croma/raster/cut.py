"""From pairs to chips: read both sensors on one geobox, bring them to stored units, judge, and say why not.

Cloud is judged first, from the one small file that shows it, so that fourteen others are not read for a chip that is
refused anyway.
"""

from collections.abc import Iterable, Sequence
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
    Classes,
    Excess,
    Limits,
    clear,
    hidden,
    missing,
    optical_nodata,
    radar_nodata,
    sky,
)
from croma.raster.radiometry import Scaling, scaling
from croma.raster.read import Reader, Signer, Want, read_wants
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A, Band, Sensor

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


class Canvas(NamedTuple):
    """The bands of a chip, while they are read."""

    radar: npt.NDArray[np.float16]
    optical: dict[int, npt.NDArray[np.uint16]]
    readers: list[Reader]
    """How they were read."""


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
        elif scl is not None and (excess := hidden(sky(scl), limits)):
            results[number] = _refused(subject, excess, subject.optical.id)
    alive = [number for number in range(len(subjects)) if number not in results]
    canvases = _read_bands([subjects[number] for number in alive], size, signer, pool)
    centres = _centres([subjects[number].pair for number in alive], size)

    def judge(number: int, canvas: Canvas | UnusableError, centre: tuple[float, float]) -> Cut | Rejection:
        if isinstance(canvas, UnusableError):
            return unreadable(subjects[number].pair, canvas)
        scl = skies[number]
        assert not isinstance(scl, UnusableError)
        return _judge(subjects[number], limits, scl, canvas, centre)

    results |= zip(alive, pool.map(judge, alive, canvases, centres), strict=True)
    return [results[number] for number in range(len(subjects))]


def _read_skies(
    subjects: Sequence[Subject], size: int, signer: Signer, pool: Executor
) -> list[Classes | UnusableError | None]:
    """The scene classification of every subject; None where its scene has none."""
    wants: dict[int, Want] = {}
    for number, (pair, _, optical) in enumerate(subjects):
        if SCL in optical.assets:
            box = pair.cell.geobox(size, SCL_RESOLUTION)
            wants[number] = Want(optical, SCL, box, np.zeros((box.height, box.width), np.uint8))
    found: dict[int, Classes | UnusableError] = {}
    for (number, want), result in zip(wants.items(), read_wants(list(wants.values()), signer, pool), strict=True):
        found[number] = result if isinstance(result, UnusableError) else want.out
    return [found.get(number) for number in range(len(subjects))]


def _read_bands(subjects: Sequence[Subject], size: int, signer: Signer, pool: Executor) -> list[Canvas | UnusableError]:
    """All radar and all optical bands of every subject, or the first error among them."""
    canvases = _canvases(len(subjects), size)
    wants = [list(_wants(*both, size)) for both in zip(subjects, canvases, strict=True)]
    found = iter(read_wants([want for bands in wants for want in bands], signer, pool))
    results: list[Canvas | UnusableError] = []
    for canvas, bands in zip(canvases, wants, strict=True):
        fault: UnusableError | None = None
        for result in [next(found) for _ in bands]:
            if isinstance(result, UnusableError):
                fault = fault or result
            else:
                canvas.readers.append(result)
        results.append(fault or canvas)
    return results


def _canvases(count: int, size: int) -> list[Canvas]:
    """So many canvases, in few large pieces of memory."""
    radar = np.zeros((count, len(SENTINEL_1_RTC.bands), size, size), np.float16)
    sides = {resolution: size * PIXEL // resolution for resolution in SENTINEL_2_L2A.resolutions}
    optical = {r: np.zeros((count, len(SENTINEL_2_L2A.at(r)), side, side), np.uint16) for r, side in sides.items()}
    return [Canvas(radar[n], {r: bands[n] for r, bands in optical.items()}, []) for n in range(count)]


def _wants(subject: Subject, canvas: Canvas, size: int) -> Iterable[Want]:
    """Radar, then optical bands, each going to its place on the canvas."""
    pair, radar, optical = subject
    for i, band in enumerate(SENTINEL_1_RTC.bands):
        yield Want(radar, band.name, pair.cell.geobox(size), canvas.radar[i], _scaling(radar, SENTINEL_1_RTC, band))
    for i, band in enumerate(SENTINEL_2_L2A.bands):
        out = canvas.optical[band.resolution][SENTINEL_2_L2A.at(band.resolution).index(i)]
        box = pair.cell.geobox(size, band.resolution)
        yield Want(optical, band.name, box, out, _scaling(optical, SENTINEL_2_L2A, band))


def _scaling(scene: Scene, sensor: Sensor, band: Band) -> Scaling:
    asset = scene.assets.get(band.name)
    return scaling(sensor.role, asset.scale, asset.offset) if asset else scaling(sensor.role)


def _judge(
    subject: Subject, limits: Limits, scl: Classes | None, canvas: Canvas, centre: tuple[float, float]
) -> Cut | Rejection:
    """Measure what a pair lacks, and make the chip or refuse it."""
    holes = optical_nodata(canvas.optical), radar_nodata(canvas.radar)
    if excess := missing(*holes, limits):
        scene = subject.optical if excess.reason == "optical-nodata" else subject.radar
        return _refused(subject, excess, scene.id)
    seen = None if scl is None else sky(scl)
    resampled = "stack" in canvas.readers
    chip = Chip(
        id=subject.pair.chip,
        cell=subject.pair.cell,
        radar=canvas.radar,
        optical=canvas.optical,
        label=None,
        facts={
            **_provenance(subject, centre),
            "cloud": seen and round(seen.cloud, 6),
            "snow": seen and round(seen.snow, 6),
            "optical_nodata": round(holes[0], 6),
            "radar_nodata": round(holes[1], 6),
            "resampled": resampled,
            "reader": "stack" if resampled else "window",
        },
    )
    return Cut(chip=chip, clear=clear(scl) if scl is not None and seen else None)


def _provenance(subject: Subject, centre: tuple[float, float]) -> dict[str, Any]:
    """The columns of the index that say where and when a chip is from."""
    pair, radar, optical = subject
    return {
        "longitude": centre[0],
        "latitude": centre[1],
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


def _centres(pairs: Sequence[Pair], size: int) -> list[tuple[float, float]]:
    """Longitude and latitude of the middle of each chip, in degrees to a centimetre."""
    half = size * PIXEL / 2
    centres: list[tuple[float, float]] = [(0.0, 0.0)] * len(pairs)
    for epsg in {pair.cell.epsg for pair in pairs}:
        numbers = [number for number, pair in enumerate(pairs) if pair.cell.epsg == epsg]
        cells = [pairs[number].cell for number in numbers]
        xs, ys = [cell.left + half for cell in cells], [cell.top - half for cell in cells]
        longitudes, latitudes = reproject(f"EPSG:{epsg}", "EPSG:4326", xs, ys)
        for number, longitude, latitude in zip(numbers, longitudes, latitudes, strict=True):
            centres[number] = round(longitude, 7), round(latitude, 7)
    return centres


def _refused(subject: Subject, excess: Excess, scene: str) -> Rejection:
    pair = subject.pair
    return Rejection(chip=pair.chip, cell=pair.cell, reason=excess.reason, detail=f"{scene}: {excess.detail}")


def unreadable(pair: Pair, error: UnusableError) -> Rejection:
    """The refusal of a pair of which some file is missing or broken; the error says which."""
    return Rejection(chip=pair.chip, cell=pair.cell, reason=UNREADABLE, detail=str(error))
