"""Which radar and optical acquisitions make a pair: pure functions over scenes and times."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from croma.catalog.scene import Refusal, Scene
from croma.document import Document
from croma.grid import Cell

Floats = npt.NDArray[np.float64]
Direction = Literal["ascending", "descending"]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

PASS_HOURS = 0.5
"""A place is seen for seconds in one pass, and again 98 minutes later at the soonest."""
ORBITS = ("POEORB", "RESORB", "PREORB")
TIMELINESS = ("Reprocessing", "Off-line", "Fast-24h", "NRT-3h", "NRT-1h", "NRT-10m")
"""Best first, as ORBITS."""


class Pair(Document):
    """One radar and one optical acquisition of one place. Scenes are named by id; the plan of a shard has them."""

    chip: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    """Id of the chip it becomes (`croma.chip.chip_id`)."""
    cell: Cell
    radar: str
    """Id of the radar scene; its footprint covers the whole chip."""
    optical: str
    """Id of the optical scene; its footprint covers the whole chip."""
    labels: tuple[str, ...] = ()
    """Ids of the label scenes that meet the chip, in the order they are laid over it; empty: no label here."""
    gap_hours: float
    """t_radar - t_optical in hours."""


def refuse_optical(scene: Scene, max_cloud: float) -> Refusal | None:
    """Why an optical scene is not to be paired; None if it is. `max_cloud` in percent."""
    if scene.cloud_cover is not None and scene.cloud_cover > max_cloud:
        return _refusal(scene, "scene-cloud", f"{scene.cloud_cover:.1f} % cloud, at most {max_cloud:g} % wanted")
    return None


def refuse_radar(scene: Scene, orbit_state: Direction | None, orbits: Sequence[int] = ()) -> Refusal | None:
    """Why a radar scene is not to be paired; None if it is: wide swath, both polarisations, the right orbit.

    What an item does not say about mode and polarisation is not held against it: it has both bands.
    """
    if scene.mode not in (None, "IW"):
        return _refusal(scene, "mode", f"instrument mode {scene.mode}, only IW is used")
    if scene.polarizations and not {"VV", "VH"} <= {name.upper() for name in scene.polarizations}:
        return _refusal(scene, "polarization", f"{'+'.join(scene.polarizations)}, VV+VH is needed")
    if orbit_state is not None and scene.orbit_state != orbit_state:
        return _refusal(scene, "orbit-state", f"{scene.orbit_state or 'unknown direction'}, only {orbit_state} is used")
    if orbits and scene.relative_orbit not in orbits:
        return _refusal(scene, "relative-orbit", f"relative orbit {scene.relative_orbit or 'unknown'} is not wanted")
    return None


def _refusal(scene: Scene, reason: str, detail: str) -> Refusal:
    return Refusal(scene=scene.id, collection=scene.collection, reason=reason, detail=detail)


def pass_numbers(places: Integers, platforms: Integers, hours: Floats) -> Integers:
    """A number for the pass of each row: equal for rows of one place and platform that follow each other closely.

    Tiles and slices of one pass, a reprocessed product and its original all share a number. All arrays have shape (n,).
    """
    order = np.lexsort((hours, platforms, places))
    fresh = np.ones(len(order), np.int64)
    fresh[1:] = (np.diff(places[order]) != 0) | (np.diff(platforms[order]) != 0) | (np.diff(hours[order]) >= PASS_HOURS)
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.cumsum(fresh)
    return numbers


def platform_numbers(scenes: Sequence[Scene]) -> Integers:
    """A number for each scene's platform; those of unknown platform share one."""
    return np.unique([scene.platform or "" for scene in scenes], return_inverse=True)[1].astype(np.int64)


def hours(scenes: Sequence[Scene]) -> Floats:
    """Sensing times as hours since 1970."""
    return np.array([scene.time.timestamp() / 3600 for scene in scenes], np.float64)


def radar_order(moment: datetime, scenes: Sequence[Scene]) -> list[int]:
    """Radar scenes near one place as partners of an optical scene sensed at `moment`, best first: their positions.

    The pass that is closest in time comes first, the earlier of two that are equally close; in a pass the best of its
    products: precise orbits before predicted ones, later processing before near real time, then the newest.
    """
    gaps = np.abs(hours(scenes) - moment.timestamp() / 3600)
    numbers = pass_numbers(np.zeros(len(scenes), np.int64), platform_numbers(scenes), hours(scenes))
    closest = {number: gaps[numbers == number].min() for number in np.unique(numbers)}
    start = {number: hours(scenes)[numbers == number].min() for number in np.unique(numbers)}

    def key(i: int) -> tuple[float | str, ...]:
        scene, number = scenes[i], numbers[i]
        product = (_rank(scene.orbit_source, ORBITS), _rank(scene.timeliness, TIMELINESS), _age(scene))
        return (closest[number], start[number], *product, gaps[i], scene.id)

    return sorted(range(len(scenes)), key=key)


def optical_order(scenes: Sequence[Scene]) -> list[int]:
    """Optical scenes as owners of a place that several of one pass cover, best first: positions in `scenes`.

    The newest processing baseline comes first; then tiles by name, so that the owner of a place stays the same from
    pass to pass; then the newest product.
    """

    def key(i: int) -> tuple[float, str, float, str]:
        scene = scenes[i]
        return (-(scene.baseline or 0.0), scene.tile or "", _age(scene), scene.id)

    return sorted(range(len(scenes)), key=key)


def _rank(value: str | None, best_first: tuple[str, ...]) -> int:
    """Unknown values rank between the good and the poor."""
    return 2 * best_first.index(value) if value in best_first else len(best_first) - 1


def _age(scene: Scene) -> float:
    return -scene.produced.timestamp() if scene.produced else 0.0


def first_of_each(*keys: npt.ArrayLike, among: Sequence[npt.ArrayLike]) -> Integers:
    """Positions of the best row of every group, ascending: groups by `among`, best by `keys` (first key first)."""
    order = np.lexsort([np.asarray(key) for key in (*reversed(keys), *reversed(list(among)))])
    new = np.zeros(len(order), bool)
    for key in among:
        sorted_key = np.asarray(key)[order]
        new[1:] |= sorted_key[1:] != sorted_key[:-1]
    new[:1] = True
    return np.sort(order[new])


def spread(
    groups: Integers, times: Floats, ranks: Integers, taken: Flags, most: int, span: tuple[float, float]
) -> Flags:
    """Which pairs to take at every place: at most `most`, spread over the time span, good ones first.

    The span is cut into `most` equal parts and the best pair of each is taken. Where parts stay empty, the pairs
    farthest in time from those taken follow, until there are `most`.

    Args:
        groups: the place of each pair, shape (n,).
        times: of each pair, in any unit.
        ranks: the lower, the better; no two alike within a group.
        taken: pairs that were taken before: they count, and keep others from their part.
        most: pairs wanted at a place.
        span: first and last time, in the unit of `times`.

    Returns:
        Shape (n,): the pairs to take, without those taken before.
    """
    if len(groups) == 0:
        return np.zeros(0, bool)
    _, place = np.unique(groups, return_inverse=True)
    length = max(span[1] - span[0], 1e-9)
    part = np.clip(((times - span[0]) / length * most).astype(np.int64), 0, most - 1)
    room = most - np.bincount(place, taken, minlength=place.max() + 1).astype(np.int64)
    chosen = np.zeros(len(groups), bool)
    best = first_of_each(~taken, ranks, among=(place, part))
    best = best[~taken[best]]
    best = best[_number_in_group(place[best], ranks[best]) < room[place[best]]]
    chosen[best] = True
    nearest = _nearest(place, times, chosen | taken)
    while True:
        left = room - np.bincount(place, chosen, minlength=len(room)).astype(np.int64)
        [open_] = np.nonzero(~chosen & ~taken & (left[place] > 0))
        if len(open_) == 0:
            return chosen
        more = open_[first_of_each(-nearest[open_], ranks[open_], among=(place[open_],))]
        chosen[more] = True
        newest = np.full(len(room), np.inf)
        newest[place[more]] = times[more]
        nearest = np.minimum(nearest, np.abs(times - newest[place]))


def _number_in_group(groups: Integers, ranks: Integers) -> Integers:
    """The position of each row in its group, by rank, from 0."""
    order = np.lexsort((ranks, groups))
    starts = np.searchsorted(groups[order], groups[order])
    numbers = np.empty(len(groups), np.int64)
    numbers[order] = np.arange(len(groups)) - starts
    return numbers


def _nearest(place: Integers, times: Floats, chosen: Flags) -> Floats:
    """Time from each row to the nearest chosen row of its place; infinite where none is chosen."""
    nearest = np.full(len(place), np.inf)
    [rows] = np.nonzero(chosen)
    turn = _number_in_group(place[rows], np.arange(len(rows)))
    for number in range(int(turn.max(initial=-1)) + 1):
        moment = np.full(place.max() + 1, np.inf)
        moment[place[rows[turn == number]]] = times[rows[turn == number]]
        nearest = np.minimum(nearest, np.abs(times - moment[place]))
    return nearest
