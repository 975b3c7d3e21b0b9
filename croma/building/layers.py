"""Which tiles of a label layer lie under each chip, and of which year."""

from collections.abc import Sequence

import numpy as np
import shapely

from croma.building.candidates import Candidates
from croma.catalog.footprint import in_degrees, to_degrees
from croma.catalog.scene import Scene
from croma.keyed import hashed
from croma.places import Integers, Places

Members = tuple[int, ...]


def label_sets(
    rows: Candidates, optical: Sequence[Scene], labels: Sequence[Scene], size: int
) -> tuple[Integers, list[Members]]:
    """The label scenes that meet each chip: those of the time nearest to the optical scene's, in the order of `labels`.

    Args:
        rows: the pairs.
        optical: optical scenes.
        labels: label scenes.
        size: of the chips, in pixels.

    Returns:
        For each row the number of its set, shape (n,), and the sets as positions in `labels`. The first is empty.
    """
    sets: dict[Members, int] = {(): 0}
    if not labels or len(rows.keys) == 0:
        return np.zeros(len(rows.keys), np.int64), list(sets)
    keys, cell = np.unique(rows.keys, return_inverse=True)
    patterns, meeting = _patterns(Places.from_keys(keys), labels, size)
    cases = patterns[cell] * len(optical) + rows.optical
    unique, case = np.unique(cases, return_inverse=True)
    numbers = np.zeros(len(unique), np.int64)
    for i, code in enumerate(unique):
        pattern, scene = divmod(int(code), len(optical))
        members = _nearest(meeting[pattern], labels, optical[scene])
        numbers[i] = sets.setdefault(members, len(sets))
    return numbers[case], list(sets)


def _nearest(meeting: Members, labels: Sequence[Scene], scene: Scene) -> Members:
    """Of the label scenes that meet a chip, those of the time nearest to the scene's; the earlier of two as near."""
    if not meeting:
        return ()
    best = min((abs(labels[i].time - scene.time), labels[i].time) for i in meeting)[1]
    return tuple(i for i in meeting if labels[i].time == best)


def _patterns(places: Places, labels: Sequence[Scene], size: int) -> tuple[Integers, list[Members]]:
    """A number for the combination of label scenes that each chip meets, and the combinations."""
    tree = shapely.STRtree([in_degrees(scene.geometry) for scene in labels])
    chips, members = [], []
    for epsg in np.unique(places.epsg):
        [here] = np.nonzero(places.epsg == epsg)
        for boxes in _boxes(places.take(here), size):
            chip, label = tree.query(boxes, predicate="intersects")
            chips.append(here[chip])
            members.append(label.astype(np.int64))
    pairs = np.unique(np.column_stack((np.concatenate(chips), np.concatenate(members))), axis=0)
    codes = np.zeros(len(places.left), np.uint64)
    np.add.at(codes, pairs[:, 0], hashed(pairs[:, 1]))
    _, example, pattern = np.unique(codes, return_index=True, return_inverse=True)
    ends = [np.searchsorted(pairs[:, 0], (chip, chip + 1)) for chip in example]
    return pattern.astype(np.int64), [tuple(pairs[first:last, 1].tolist()) for first, last in ends]


def _boxes(places: Places, size: int) -> list[shapely.Geometry]:
    """Chips of one zone as boxes in degrees; twice, since a chip across the antimeridian has a part on either side."""
    left, bottom, right, top = places.bounds(size).T
    x, y = np.stack((left, right, left, right)), np.stack((bottom, bottom, top, top))
    longitude, latitude = to_degrees(int(places.epsg[0])).transform(x, y)
    south, north = latitude.min(axis=0), latitude.max(axis=0)
    west, east = longitude.min(axis=0), longitude.max(axis=0)
    crosses = east - west > 180
    eastern = np.where(longitude < 0, np.inf, longitude).min(axis=0)
    western = np.where(longitude > 0, -np.inf, longitude).max(axis=0)
    one = shapely.box(np.where(crosses, eastern, west), south, np.where(crosses, 180.0, east), north)
    if not crosses.any():
        return [one]
    other = shapely.box(-180.0, south, np.where(crosses, western, -180.0), north)
    return [one, np.where(crosses, other, None)]
