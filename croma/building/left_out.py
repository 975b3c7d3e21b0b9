"""Places and scenes that become no chip, and why: nothing is left out silently."""

from collections.abc import Iterable, Sequence

import numpy as np

from croma.building.candidates import Candidates, Ground
from croma.building.lazy import Lazy
from croma.building.spec import BuildSpec
from croma.catalog.scene import Refusal
from croma.chip import Rejection
from croma.errors import InputError
from croma.grid import PIXEL
from croma.places import Floats, Integers, Places


class LeftOut:
    """The places that scenes offer and no pair takes, gathered zone by zone."""

    def __init__(self, spec: BuildSpec) -> None:
        self._spec = spec
        self._near, self._alone = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._gaps: Floats = np.zeros(0)

    def add(self, ground: Ground, scenes: Sequence[int], taken: Integers) -> None:
        """Note what the optical scenes of a zone offer beside the places (as keys) that have a pair or a chip."""
        offers = list({id(offer): offer for offer in map(ground.offer, scenes)}.values())
        near = _union(offer.too_near for offer in offers)
        alone = np.setdiff1d(_union(offer.keys for offer in offers), taken)
        gaps = np.full(len(alone), np.inf)
        for number in scenes if len(alone) else ():
            keys, found = ground.closest_gaps(number, alone)
            np.minimum.at(gaps, np.searchsorted(alone, keys), found)
        self._near = np.concatenate((self._near, near))
        self._alone = np.concatenate((self._alone, alone))
        self._gaps = np.concatenate((self._gaps, gaps))

    def rejections(self) -> Lazy[Rejection]:
        """One for each place."""
        return Lazy(len(self._alone) + len(self._near), self._rejection)

    def error(self) -> InputError:
        """Why there is no pair at all, in a sentence."""
        spec = self._spec
        side = spec.chip_size * PIXEL
        if len(self._alone) + len(self._near) == 0:
            return InputError(
                f"no chip of {spec.chip_size} px ({side} m) lies in both the area and the footprint of an optical "
                "scene: take a larger area or smaller chips"
            )
        if len(self._alone) == 0:
            return InputError(
                f"all {len(self._near)} places are too near a block of another split: take larger split.block_km or a "
                "smaller split.buffer_m"
            )
        closest = self._gaps.min()
        if np.isinf(closest):
            return InputError(
                f"no pair: no radar footprint covers any of the {len(self._alone)} places of a chip, at any time"
            )
        return InputError(
            f"no pair within {spec.pair.max_gap_hours:g} h: over {len(self._alone)} places of a chip the closest radar "
            f"pass is {closest:.1f} h away; raise pair.max_gap_hours"
        )

    def _rejection(self, index: int) -> Rejection:
        if index < len(self._alone):
            key, gap = self._alone[index], self._gaps[index]
            most = f"{self._spec.pair.max_gap_hours:g} h"
            seen = "no radar footprint covers the chip" if np.isinf(gap) else f"closest radar pass {gap:.1f} h away"
            reason, detail = "no-pair", f"{seen}, at most {most} wanted"
        else:
            key = self._near[index - len(self._alone)]
            reason, detail = "split-buffer", "too near a block of a higher split"
        cell = Places.from_keys(np.array([key])).cell(0)
        return Rejection(chip=str(cell), cell=cell, reason=reason, detail=detail)


def idle_scenes(ground: Ground, scenes: Sequence[int], found: Candidates, once: Candidates) -> list[Refusal]:
    """Optical scenes of a zone that offer places and make no pair, and why.

    Args:
        ground: all scenes.
        scenes: the numbers of the zone's.
        found: all possible pairs.
        once: those that are left when each pass is used once.
    """
    refusals = []
    paired, used = set(np.unique(found.optical).tolist()), set(np.unique(once.optical).tolist())
    for number in scenes:
        scene, places = ground.optical[number], len(ground.offer(number).keys)
        if number in used or places == 0:
            continue
        if number in paired:
            reason, detail = "duplicate", "a better product of the same pass covers all its places"
        else:
            most = f"{ground.spec.pair.max_gap_hours:g} h"
            reason, detail = "no-pair", f"no radar pass within {most} covers any of its {places} places"
        refusals.append(Refusal(scene=scene.id, collection=scene.collection, reason=reason, detail=detail))
    return refusals


def _union(parts: Iterable[Integers]) -> Integers:
    return np.unique(np.concatenate([np.zeros(0, np.int64), *parts]))
