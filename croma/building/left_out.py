"""Places that become no chip, and why: nothing is left out silently."""

import numpy as np

from croma.building.candidates import Candidates, Ground
from croma.building.lazy import Lazy
from croma.catalog.scene import Refusal
from croma.chip import Rejection
from croma.errors import InputError
from croma.grid import PIXEL
from croma.places import Floats, Integers, Places


class LeftOut:
    """The places that the scenes offer and no pair takes.

    Args:
        ground: the scenes.
        taken: keys of places that have a pair or a chip.
    """

    def __init__(self, ground: Ground, taken: Integers) -> None:
        self._ground = ground
        offers = [ground.offer(number) for number in range(len(ground.optical))]
        distinct = list({id(offer): offer for offer in offers}.values())
        self._near = _union([offer.places.keys[offer.too_near] for offer in distinct])
        offered = _union([offer.places.keys[~offer.too_near] for offer in distinct])
        self._alone = np.setdiff1d(offered, taken)
        self._gaps = self._closest()

    def rejections(self) -> Lazy[Rejection]:
        """One for each place."""
        return Lazy(len(self._alone) + len(self._near), self._rejection)

    def error(self) -> InputError:
        """Why there is no pair at all, in a sentence."""
        spec = self._ground.spec
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

    def _closest(self) -> Floats:
        gaps = np.full(len(self._alone), np.inf)
        if len(self._alone):
            for number in range(len(self._ground.optical)):
                keys, found = self._ground.closest_gaps(number, self._alone)
                np.minimum.at(gaps, np.searchsorted(self._alone, keys), found)
        return gaps

    def _rejection(self, index: int) -> Rejection:
        if index < len(self._alone):
            key, gap = self._alone[index], self._gaps[index]
            most = f"{self._ground.spec.pair.max_gap_hours:g} h"
            seen = "no radar footprint covers the chip" if np.isinf(gap) else f"closest radar pass {gap:.1f} h away"
            reason, detail = "no-pair", f"{seen}, at most {most} wanted"
        else:
            key = self._near[index - len(self._alone)]
            reason, detail = "split-buffer", "too near a block of a higher split"
        cell = Places.from_keys(np.array([key])).cell(0)
        return Rejection(chip=str(cell), cell=cell, reason=reason, detail=detail)


def idle_scenes(ground: Ground, found: Candidates, once: Candidates) -> tuple[Refusal, ...]:
    """Optical scenes that offer places and make no pair, and why.

    Args:
        ground: the scenes.
        found: all possible pairs.
        once: those that are left when each pass is used once.
    """
    refusals = []
    paired, used = set(found.optical.tolist()), set(once.optical.tolist())
    for number, scene in enumerate(ground.optical):
        places = int((~ground.offer(number).too_near).sum())
        if number in used or places == 0:
            continue
        if number in paired:
            reason, detail = "duplicate", "a better product of the same pass covers all its places"
        else:
            most = f"{ground.spec.pair.max_gap_hours:g} h"
            reason, detail = "no-pair", f"no radar pass within {most} covers any of its {places} places"
        refusals.append(Refusal(scene=scene.id, collection=scene.collection, reason=reason, detail=detail))
    return tuple(refusals)


def _union(parts: list[Integers]) -> Integers:
    return np.unique(np.concatenate([np.zeros(0, np.int64), *parts]))
