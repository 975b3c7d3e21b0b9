"""Which chips share a shard, and in which order they lie in it."""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from croma.building.candidates import Candidates
from croma.catalog.scene import Scene
from croma.grid import LATTICE
from croma.keyed import hashed
from croma.places import Integers, Places


class Grouped(NamedTuple):
    """Rows in the order in which they are written, cut into shards."""

    order: Integers
    """Positions of the rows, shape (n,)."""
    starts: Integers
    """Of each shard, in `order`; shape (shards + 1,), the last is n."""
    splits: Integers
    """Of each shard: number into `croma.chip.SPLITS`."""


def group(
    rows: Candidates, splits: Integers, optical: Sequence[Scene], radar: Sequence[Scene], chips: int, seed: int
) -> Grouped:
    """Shards of `chips` chips or a few less, each of one split and of as few scenes as can be.

    Args:
        rows: the pairs.
        splits: of each row, shape (n,).
        optical: optical scenes.
        radar: radar scenes.
        chips: most chips of a shard; the shards of a split are equally large.
        seed: keys the order of scenes, and that of chips in a shard.
    """
    places = Places.from_keys(rows.keys)
    scene = _codes(optical)[rows.optical]
    near = _morton(places.left // LATTICE, places.top // LATTICE)
    dense = np.lexsort((near, rows.radar, rows.optical, hashed(seed, scene), splits))
    counts = np.bincount(splits, minlength=3)
    shards = -(-counts // chips)
    sizes = [len(part) for n, k in zip(counts, shards, strict=True) if k for part in np.array_split(np.empty(n), k)]
    starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    shard = np.repeat(np.arange(len(sizes)), sizes)
    shuffled = hashed(seed, rows.keys, scene, _codes(radar)[rows.radar])[dense]
    return Grouped(dense[np.lexsort((shuffled, shard))], starts, np.repeat(np.arange(3), shards))


def _codes(scenes: Sequence[Scene]) -> Integers:
    """A number for each scene that depends on its id only."""
    digests = [int.from_bytes(sha256(scene.id.encode()).digest()[:8], "big", signed=True) for scene in scenes]
    return np.array(digests, np.int64)


def _morton(columns: Integers, rows: Integers) -> npt.NDArray[np.int64]:
    """Numbers along a curve that stays near: the bits of column and row in turn."""
    return _spaced(columns) | (_spaced(rows) << 1)


def _spaced(values: Integers) -> Integers:
    """Each bit of the lower 21 moved to twice its place."""
    spaced = values & 0x1FFFFF
    for shift, mask in [(16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F)]:
        spaced = (spaced | (spaced << shift)) & mask
    for shift, mask in [(2, 0x3333333333333333), (1, 0x5555555555555555)]:
        spaced = (spaced | (spaced << shift)) & mask
    return spaced
