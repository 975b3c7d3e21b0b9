"""Automatic checks of a version: what is wrong with the pixels themselves, whatever the metadata says.

A check judges what is stored: the index whole, and the pixels of a sample. Its verdict comes with what was measured.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import cKDTree

from croma.building.report.alignment import Shift, shift
from croma.building.report.looks import Look
from croma.chip import SPLITS
from croma.document import Document
from croma.grid import PIXEL

Verdict = Literal["passed", "look", "failed", "unknown"]
"""`look`: a person should; `unknown`: nothing could be measured."""

EXAMPLES = 5

TWICE = 0.25
"""Share of green pixels at the darkest number from which an offset was taken off twice."""

CLEAR = 5.0
"""Clarity from which a shift counts."""

SHIFTED = 2
"""Pixels of 10 m; one pixel is what both sensors' orbits leave open."""

_TOGETHER = 3
"""Chips of two scenes that make a measurement."""

_EARTH = 6_371_008.8
"""Mean radius in metres."""

_PASS = 1800.0
"""Seconds within which a place is seen in one pass only."""

Floats = npt.NDArray[np.float64]


class Check(Document):
    """One check of a version."""

    name: str
    verdict: Verdict
    asked: str
    """What was looked for."""
    found: str
    """What was measured, in a sentence."""
    examples: tuple[str, ...] = ()
    """Scenes or chips that are to blame, some of them."""


def run_checks(rows: pa.Table, size: int, looks: Sequence[Look]) -> tuple[Check, ...]:
    """All checks.

    Args:
        rows: of the index.
        size: of the chips in pixels of 10 m.
        looks: at some of the chips.
    """
    return (
        check_offset(looks),
        check_shift(looks),
        check_blank(looks),
        check_duplicates(rows, size, looks),
        check_splits(rows, size),
    )


def check_offset(looks: Sequence[Look]) -> Check:
    """Whether the offset of processing baseline 04.00 was left in a scene, or taken off twice."""
    by_scene = _grouped(looks, "optical_scene")
    left, twice, clean = [], [], 0
    for scene, seen in by_scene.items():
        votes = Counter(look.offset for look in seen)
        if float(np.mean([look.clipped for look in seen])) > TWICE:
            twice.append(f"{scene}: taken off twice")
        elif votes[True] > votes[False]:
            left.append(f"{scene}: left in")
        elif votes[False]:
            clean += 1
    unsure = len(by_scene) - clean - len(left) - len(twice)
    found = f"{len(left)} of {len(by_scene)} optical scenes carry it, {len(twice)} lost it twice, {clean} are right"
    if unsure:
        found += f", {unsure} show neither vegetation nor dark ground and cannot tell"
    return Check(
        name="offset",
        verdict="failed" if left or twice else "passed" if clean else "unknown",
        asked="vegetation is dark in red: the offset of +1000 was taken off, once",
        found=found,
        examples=tuple((left + twice)[:EXAMPLES]),
    )


def check_shift(looks: Sequence[Look]) -> Check:
    """Whether the radar of some pair of scenes lies beside the optical image."""
    measured: dict[str, Shift] = {}
    for pair, seen in _grouped(looks, "optical_scene", "radar_scene").items():
        found = [look.fits for look in seen if look.fits is not None]
        if len(found) >= _TOGETHER:
            measured[pair] = shift(np.mean(found, axis=0))
    clear = {pair: moved for pair, moved in measured.items() if moved.clarity >= CLEAR}
    wrong = {pair: moved for pair, moved in clear.items() if moved.pixels >= SHIFTED}
    worst = max((moved.pixels for moved in clear.values()), default=0)
    return Check(
        name="alignment",
        verdict=_verdict(len(wrong), len(clear)),
        asked=f"the radar fits the optical bands best where it lies, within {SHIFTED - 1} px of 10 m",
        found=f"{len(clear)} pairs of scenes tell, {len(measured) - len(clear)} do not; "
        f"{len(wrong)} are shifted; the largest shift is {worst} px",
        examples=tuple(
            f"{pair}: {moved.south} px south, {moved.east} px east" for pair, moved in list(wrong.items())[:EXAMPLES]
        ),
    )


def check_blank(looks: Sequence[Look]) -> Check:
    """Whether some chip has a band without content."""
    blank = [f"{look.row['chip']}: {', '.join(look.blank)}" for look in looks if look.blank]
    return Check(
        name="blank",
        verdict="unknown" if not looks else "failed" if blank else "passed",
        asked="every band of every chip has more than one value",
        found=f"{len(blank)} of {len(looks)} chips have a band that is empty or one value everywhere",
        examples=tuple(blank[:EXAMPLES]),
    )


def check_duplicates(rows: pa.Table, size: int, looks: Sequence[Look]) -> Check:
    """Whether a piece of ground is in the dataset twice from one pass, or the same pixels under two names."""
    twice = _seen_twice(rows, size)
    chips = [f"{rows['chip'][int(i)].as_py()} and {rows['chip'][int(j)].as_py()}" for i, j in twice[:EXAMPLES]]
    hashes = defaultdict(list)
    for look in looks:
        hashes[look.hashes[1]].append(look.row["chip"])
    equal = [" and ".join(names) for names in hashes.values() if len(names) > 1]
    return Check(
        name="duplicates",
        verdict="unknown" if not rows.num_rows else "failed" if len(twice) or equal else "passed",
        asked="no place is there twice from one optical pass, and no two chips have the same optical pixels",
        found=f"{len(twice)} of {rows.num_rows} chips lie on another one of the same pass; "
        f"{len(equal)} sets of equal pixels among {len(looks)} chips",
        examples=tuple((chips + equal)[:EXAMPLES]),
    )


def check_splits(rows: pa.Table, size: int) -> Check:
    """Whether chips of different splits share ground."""
    met = 0
    for by_split in _corners(rows):
        for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
            met += _overlapping(by_split[one], by_split[other], size * PIXEL)
    splits = len(rows["split"].unique())
    return Check(
        name="splits",
        verdict="failed" if met else "passed" if splits > 1 else "unknown",
        asked="chips of different splits share no ground",
        found=f"{met} places of a chip overlap one of another split" if splits > 1 else "there is one split only",
    )


def _verdict(wrong: int, telling: int) -> Verdict:
    """A few that look wrong among many may be chance; a person decides."""
    if not telling:
        return "unknown"
    if not wrong:
        return "passed"
    return "look" if wrong / telling < 0.05 else "failed"


def _grouped(looks: Iterable[Look], *columns: str) -> Mapping[str, list[Look]]:
    groups: dict[str, list[Look]] = defaultdict(list)
    for look in looks:
        groups[" and ".join(str(look.row[column]) for column in columns)].append(look)
    return groups


def _seen_twice(rows: pa.Table, size: int) -> npt.NDArray[np.int64]:
    """(n, 2) numbers of rows of one optical pass whose middles are nearer than a quarter of a chip."""
    if rows.num_rows < 2:
        return np.zeros((0, 2), np.int64)
    reach = size * PIXEL / 4
    longitude, latitude = (np.radians(_numbers(rows, name)) for name in ("longitude", "latitude"))
    east, north, up = (
        np.cos(latitude) * np.cos(longitude),
        np.cos(latitude) * np.sin(longitude),
        np.sin(latitude),
    )
    seconds = rows["optical_time"].cast(pa.int64()).to_numpy() / 1e6
    points = np.stack([east * _EARTH, north * _EARTH, up * _EARTH, seconds / _PASS * reach], axis=1)
    distance, nearest = cKDTree(points).query(points, k=2, distance_upper_bound=reach)
    # Of equal points a tree may name either as the nearest one of the other.
    first = np.arange(len(points))
    other = np.where(nearest[:, 0] == first, nearest[:, 1], nearest[:, 0])
    found = np.isfinite(distance[:, 1])
    pairs = np.sort(np.stack([first, other], axis=1)[found], axis=1)
    return np.unique(pairs, axis=0)


def _numbers(rows: pa.Table, name: str) -> Floats:
    return np.asarray(rows[name].to_numpy(), np.float64)


def _corners(rows: pa.Table) -> Iterator[Mapping[str, Floats]]:
    """For each zone, by split, (n, 2) corners of places in metres, each once."""
    columns = ["epsg", "split", "left", "top"]
    places = rows.select(columns).group_by(columns).aggregate([])
    zones, corners = places["epsg"].to_numpy(), np.stack([_numbers(places, "left"), _numbers(places, "top")], axis=1)
    inside = {split: pc.equal(places["split"], split).to_numpy() for split in SPLITS}
    for zone in np.unique(zones):
        here = zones == zone
        yield {split: corners[here & mask] for split, mask in inside.items()}


def _overlapping(some: Floats, others: Floats, side: float) -> int:
    """How many of `some` squares share ground with one of `others`; squares that touch do not."""
    if not len(some) or not len(others):
        return 0
    distance, _ = cKDTree(others).query(some, p=np.inf, distance_upper_bound=side)
    return int((distance < side).sum())
