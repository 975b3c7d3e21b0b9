"""Every pair that could be made, in columns: which radar scene goes with which optical scene at which place."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from croma import splits
from croma.building.placement import SLACK, Sites, zone
from croma.building.spec import BuildSpec
from croma.catalog.footprint import covers, in_degrees, in_metres
from croma.catalog.scene import Scene
from croma.pairing import hours, radar_order
from croma.places import Floats, Integers, Places

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int32]


class Candidates(NamedTuple):
    """Possible pairs by column; each has shape (n,)."""

    keys: Integers
    """Places as numbers (`Places.keys`)."""
    optical: Numbers
    """Position of the optical scene."""
    radar: Numbers
    """Position of the radar scene."""

    def take(self, index: Integers | Flags) -> "Candidates":
        """The rows at these positions."""
        return Candidates(self.keys[index], self.optical[index], self.radar[index])


class Offer(NamedTuple):
    """What the footprint of an optical scene offers."""

    keys: Integers
    """Places, as numbers (`Places.keys`)."""
    too_near: Integers
    """Places that are left out because a higher split is too near."""


class Ground:
    """Scenes of one area, with what is asked of them again and again kept: footprints, cells and their splits.

    Args:
        spec: the dataset.
        sites: where chips may lie.
        optical: optical scenes.
        radar: radar scenes.
    """

    def __init__(self, spec: BuildSpec, sites: Sites, optical: Sequence[Scene], radar: Sequence[Scene]) -> None:
        self.spec = spec
        self.sites = sites
        self.optical = optical
        self.radar = radar
        self.zones = [zone(scene) for scene in optical]
        self._tree = shapely.STRtree([in_degrees(scene.geometry) for scene in radar])
        self._radar_hours = hours(radar)
        self._offers: dict[tuple[int, bytes], Offer] = {}
        self._footprints: dict[tuple[int, int], BaseGeometry] = {}
        self._blocks = splits.Blocks(
            side=round(spec.split.block_km * 1000),
            val=spec.split.val,
            test=spec.split.test,
            buffer=spec.split.buffer_m,
            seed=spec.seed,
        )

    def offer(self, number: int) -> Offer:
        """The places in the footprint of an optical scene. Scenes with one footprint share the answer."""
        epsg, size = self.zones[number], self.spec.chip_size
        footprint = in_metres(self.optical[number].geometry, epsg)
        name = epsg, footprint.wkb
        if name not in self._offers:
            places = self.sites.cells(footprint, epsg)
            _, near = splits.assign(places, size, self._blocks, self.sites.step)
            self._offers[name] = Offer(places.keys[~near], places.keys[near])
        return self._offers[name]

    def splits(self, keys: Integers) -> Integers:
        """The splits of these places, as numbers into `croma.chip.SPLITS`."""
        return splits.split_of(Places.from_keys(keys), self.spec.chip_size, self._blocks)

    def pair(self, number: int) -> Candidates:
        """The best radar partner within the gap at every place of an optical scene; places without one are left out."""
        offer, partners = self.offer(number), self._partners(number, self.spec.pair.max_gap_hours)
        places = Places.from_keys(offer.keys)
        found = np.full(len(places.left), -1, np.int64)
        order = radar_order(self.optical[number].time, [self.radar[i] for i in partners])
        for partner in (partners[i] for i in order):
            [alone] = np.nonzero(found < 0)
            if len(alone) == 0:
                break
            found[alone[self._covered(partner, number, places.take(alone))]] = partner
        paired = offer.keys[found >= 0]
        scene = np.full(len(paired), number, np.int32)
        return Candidates(paired, scene, found[found >= 0].astype(np.int32))

    def closest_gaps(self, number: int, keys: Integers) -> tuple[Integers, Floats]:
        """The places of an optical scene that are among `keys`, and the hours to the nearest radar over each."""
        offer = self.offer(number)
        here = offer.keys[np.isin(offer.keys, keys)]
        places = Places.from_keys(here)
        gaps = np.full(len(places.left), np.inf)
        away = np.abs(self._radar_hours - self.optical[number].time.timestamp() / 3600)
        partners = self._partners(number, np.inf)
        for partner in sorted(partners, key=lambda i: (away[i], self.radar[i].id)):
            [open_] = np.nonzero(np.isinf(gaps))
            if len(open_) == 0:
                break
            gaps[open_[self._covered(partner, number, places.take(open_))]] = away[partner]
        return here, gaps

    def forget(self) -> None:
        """Drop the offers that are kept: those of one zone are of no use to another."""
        self._offers.clear()

    def _partners(self, number: int, most_hours: float) -> list[int]:
        scene = self.optical[number]
        near = self._tree.query(in_degrees(scene.geometry), predicate="intersects")
        gaps = np.abs(self._radar_hours[near] - scene.time.timestamp() / 3600)
        return sorted(int(i) for i in near[gaps <= most_hours])

    def _covered(self, partner: int, number: int, places: Places) -> Flags:
        epsg = self.zones[number]
        if (partner, epsg) not in self._footprints:
            self._footprints[partner, epsg] = in_metres(self.radar[partner].geometry, epsg)
        return covers(self._footprints[partner, epsg], places.bounds(self.spec.chip_size), SLACK)


def join(parts: Sequence[Candidates]) -> Candidates:
    """All of them as one."""
    if not parts:
        return Candidates(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32))
    return Candidates(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
