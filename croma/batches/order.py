"""Which chips make global step t, in which order, under which keys: a pure function, and no state but t.

Law of order: the answer depends on (seed, dataset, global batch, window, t) alone. Every rank computes the whole
global batch and takes its slice, so the number of workers, of micro-batches and of restarts cannot change it.

An epoch visits every chip once. Where the dataset is larger than what a machine keeps, it is visited window by
window: the runs of neighbouring chips are shuffled, consecutive runs make a window, chips are shuffled inside it. A
dataset has several chips of one place (other dates), and two of them in one batch would be false negatives of a
contrastive loss. So the chips of a window are dealt into layers that hold each place at most once, and a layer is
finished before the next begins. Two chips of one place can still meet where a batch spans two windows or epochs, or
where a layer is shorter than a batch.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from croma.distributed import share

Integers = npt.NDArray[np.int64]
_Words = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Draw(NamedTuple):
    """A part of a global batch."""

    chips: Integers
    """Chip numbers: rows of the split's table."""
    keys: Integers
    """One random key a sample; see `RawBatch.keys`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """The order of chips for the whole of training."""

    seed: int
    dataset: str
    """Fingerprint of the chips, so that another dataset gets another order."""
    places: Integers
    """(chips,). Equal numbers mean the same place on the ground."""
    runs: Integers
    """(runs + 1,). Chips runs[i] to runs[i + 1] are neighbours in one shard and are fetched together."""
    global_batch: int
    window: int | None = None
    """Chips that are shuffled among each other, rounded up to whole runs; None for all of the dataset."""

    def __post_init__(self) -> None:
        """Refuse what no order can be made of."""
        if len(self.places) == 0:
            raise ValueError("the dataset has no chips to put in order")
        if self.global_batch < 1:
            raise ValueError(f"global_batch is {self.global_batch}: it must be at least 1")
        if self.runs[0] != 0 or self.runs[-1] != len(self.places) or (np.diff(self.runs) <= 0).any():
            raise ValueError("runs must rise from 0 to the number of chips")

    @property
    def chips(self) -> int:
        """Chips in an epoch."""
        return len(self.places)

    def batch(self, step: int) -> Draw:
        """The global batch of step `step`, counted from 0."""
        first = step * self.global_batch
        positions = np.arange(first, first + self.global_batch, dtype=np.uint64)
        keys = mix(np.uint64(self._base) + positions * _GOLDEN).view(np.int64)
        return Draw(self._chips_at(first, first + self.global_batch), keys)

    def slice(self, step: int, rank: int, world: int) -> Draw:
        """What rank `rank` of `world` does of step `step`: a contiguous part, equal to within one sample."""
        whole = self.batch(step)
        part = share(self.global_batch, rank, world)
        return Draw(whole.chips[part], whole.keys[part])

    def window_stop(self, step: int) -> int:
        """The first step after `step` that holds nothing of the window in which `step` begins."""
        epoch, position = divmod(step * self.global_batch, self.chips)
        bounds = self._windows(epoch)[1]
        end = epoch * self.chips + int(bounds[np.searchsorted(bounds, position, "right")])
        return -(-end // self.global_batch)

    @cached_property
    def _base(self) -> int:
        """The seed and the dataset as 64 bits."""
        return int.from_bytes(hashlib.sha256(f"{self.seed}/{self.dataset}".encode()).digest()[:8], "little")

    def _chips_at(self, start: int, stop: int) -> Integers:
        """Chips at positions `start` to `stop` of the endless sequence of epochs."""
        pieces = []
        while start < stop:
            epoch, position = divmod(start, self.chips)
            bounds = self._windows(epoch)[1]
            number = int(np.searchsorted(bounds, position, "right")) - 1
            chips = self._shuffled(epoch, number)
            offset = position - int(bounds[number])
            taken = chips[offset : offset + stop - start]
            pieces.append(taken)
            start += len(taken)
        return np.concatenate(pieces)

    @lru_cache(maxsize=4)  # noqa: B019 an order lives as long as the run
    def _windows(self, epoch: int) -> tuple[Integers, Integers, Integers]:
        """Runs in the order of the epoch; where windows begin and end, in chips; the same in runs."""
        count = len(self.runs) - 1
        if self.window is None or self.window >= self.chips:
            return np.arange(count), np.array([0, self.chips]), np.array([0, count])
        runs = np.argsort(self._hash(np.arange(count), epoch, 1), kind="stable")
        ends = np.cumsum(np.diff(self.runs)[runs])
        starts = np.concatenate([[0], ends[:-1]])
        first = np.flatnonzero(np.diff(starts // self.window, prepend=-1))
        return runs, np.append(starts[first], self.chips), np.append(first, count)

    @lru_cache(maxsize=3)  # noqa: B019
    def _shuffled(self, epoch: int, number: int) -> Integers:
        """The chips of a window in their order."""
        runs, bounds, cuts = self._windows(epoch)
        members = _spread(self.runs, runs[cuts[number] : cuts[number + 1]])
        layers = _deal(self.places[members], self._hash(self.places[members], epoch, 2))
        ranked = _sorted_by(layers, self._hash(members, epoch, 3))
        members, layers = members[ranked], layers[ranked]
        return self._part_neighbours(members, layers, epoch * self.chips + int(bounds[number]))

    def _part_neighbours(self, members: Integers, layers: Integers, first: int) -> Integers:
        """Where a batch holds the end of one layer and the start of the next, keep the same place out of it.

        `first` is the position of the window in the endless sequence.
        """
        cuts = np.append(np.flatnonzero(np.diff(layers, prepend=-1)), len(members))
        for start, stop in pairwise(cuts[1:]):
            before = (first + int(start)) % self.global_batch
            wanted = self.global_batch - before
            tail = self.places[members[max(int(start) - before, 0) : start]]
            clear = np.flatnonzero(~np.isin(self.places[members[start:stop]], tail))[:wanted]
            rest = np.delete(np.arange(stop - start), clear)
            members[start:stop] = members[start:stop][np.concatenate([clear, rest])]
        return members

    def _hash(self, numbers: Integers, epoch: int, use: int) -> _Words:
        """A random word for every number, another one in every epoch and for every use."""
        key = mix(np.array([self._base ^ (epoch * 8 + use)], np.uint64))
        return mix(key + numbers.astype(np.uint64) * _GOLDEN)


def mix(state: _Words) -> _Words:
    """A bijection of 64-bit words that leaves no visible structure: `croma.batches.draws.mix` in numpy."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def cut_into_runs(shards: Integers, length: int) -> Integers:
    """Bounds of runs of at most `length` chips of one shard; `shards` (chips,) has each chip's shard, ascending."""
    first = np.flatnonzero(np.diff(shards, prepend=-1))
    position = np.arange(len(shards)) - np.repeat(first, np.diff(np.append(first, len(shards))))
    return np.append(np.flatnonzero(position % length == 0), len(shards))


def _spread(bounds: Integers, runs: Integers) -> Integers:
    """All chips of some runs, run after run."""
    lengths = bounds[runs + 1] - bounds[runs]
    before = np.cumsum(lengths) - lengths
    return np.repeat(bounds[runs] - before, lengths) + np.arange(lengths.sum())


def _sorted_by(layers: Integers, words: _Words) -> Integers:
    """Positions by layer, and by word inside it. Words are all different, so both sorts may be the fast ones."""
    by_word = np.argsort(words)
    narrow = layers.astype(np.uint16) if layers.max() < 2**16 else layers
    found: Integers = by_word[np.argsort(narrow[by_word], kind="stable")]
    return found


def _deal(places: Integers, starts: _Words) -> Integers:
    """A layer for every chip so that no layer has two chips of a place, and layers are about equally long.

    `starts` has a random word of its place for every chip: with which layer the place begins.
    """
    grouped = np.argsort((places << 32) | np.arange(len(places)))  # stable, and three times as fast as a stable sort
    first = np.flatnonzero(np.diff(places[grouped], prepend=places[grouped[0]] - 1))
    counts = np.diff(np.append(first, len(places)))
    turn = np.empty(len(places), np.int64)
    turn[grouped] = np.arange(len(places)) - np.repeat(first, counts)
    layers = int(counts.max())
    return (turn + (starts % np.uint64(layers)).astype(np.int64)) % layers
