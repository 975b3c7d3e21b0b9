"""The plan of a build: which chips are made of which scenes, in which shards. Pixels are not read here.

A plan is a function of the recipe, the scenes and the chips that are there already: not of the order in which a
catalog answers, nor of the machine. It is kept in columns, and shard plans are made when they are asked for.

Chips of one optical and one radar scene, near one another, go to one shard, so that filling it opens few files and
decodes their blocks once. Scenes follow each other in an order drawn by a hash, so that a shard of many sparse scenes
is a draw of the whole; inside a shard chips are in an order drawn by a hash too.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from croma.building import where
from croma.building.candidates import Candidates, Ground, join
from croma.building.grouping import Grouped, group
from croma.building.layers import Members, label_sets
from croma.building.lazy import Lazy
from croma.building.left_out import LeftOut, idle_scenes
from croma.building.placement import Sites
from croma.building.selection import known_chips, one_per_pass, select
from croma.building.shard_plan import ShardPlan
from croma.building.spec import BuildSpec
from croma.building.usable import in_order, usable_optical, usable_radar
from croma.catalog.scene import Refusal, Scene
from croma.chip import SPLITS, Rejection, chip_id
from croma.pairing import Pair
from croma.places import Integers, Places


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be built."""

    shards: Sequence[ShardPlan]
    """Made when asked for: a plan of ten million chips does not hold ten million objects."""
    rejections: Sequence[Rejection]
    """Places that become no chip, and why: no-pair, split-buffer. Made when asked for."""
    refused: tuple[Refusal, ...]
    """Scenes that are not used, and why."""
    chips: dict[str, int]
    """Pairs by split."""
    scenes: dict[str, int]
    """Scenes that the pairs come from, by collection."""


def make_plan(
    spec: BuildSpec,
    optical: Iterable[Scene],
    radar: Iterable[Scene],
    labels: Iterable[Scene] = (),
    known: Iterable[str] = (),
    sites: Sites | None = None,
) -> Plan:
    """The plan of what `spec` asks for and `known` does not hold.

    Args:
        spec: the dataset.
        optical: optical scenes of the catalog.
        radar: radar scenes of the catalog.
        labels: scenes of the label layer.
        known: ids of chips that are there already, or that were tried and refused.
        sites: where chips may lie; by default what `croma.building.where.sites` says without a land-cover layer.

    Raises:
        InputError: there are no scenes, none that can be used, no place for a chip, or no pair within the gap; or a
            processing baseline is unknown and `spec` does not say what to assume.
    """
    old = known_chips(known)
    optical_scenes, refused_optical = usable_optical(spec, optical)
    radar_scenes, refused_radar = usable_radar(spec, radar)
    label_scenes = in_order(labels)
    ground = Ground(spec, sites or where.sites(spec), optical_scenes, radar_scenes)
    found = join([ground.pair(number) for number in range(len(optical_scenes))])
    once = one_per_pass(found, optical_scenes)
    left_out = LeftOut(ground, np.union1d(found.keys, old.keys))
    if len(found.keys) == 0 and len(old.keys) == 0:
        raise left_out.error()
    rows = select(once, optical_scenes, radar_scenes, old, spec.pair, spec.window)
    sets = label_sets(rows, optical_scenes, label_scenes, spec.chip_size)
    splits = ground.splits(rows.keys)
    grouped = group(rows, splits, optical_scenes, radar_scenes, spec.chips_per_shard, spec.seed)
    book = _Book(spec, rows, grouped, sets, optical_scenes, radar_scenes, label_scenes)
    return Plan(
        shards=Lazy(len(grouped.splits), book.shard),
        rejections=left_out.rejections(),
        refused=refused_optical + refused_radar + idle_scenes(ground, found, once),
        chips={name: int(np.sum(splits == number)) for number, name in enumerate(SPLITS)},
        scenes=book.scenes(),
    )


class _Book:
    """A plan in columns, from which shard plans are made."""

    def __init__(
        self,
        spec: BuildSpec,
        rows: Candidates,
        grouped: Grouped,
        sets: tuple[Integers, list[Members]],
        optical: Sequence[Scene],
        radar: Sequence[Scene],
        labels: Sequence[Scene],
    ) -> None:
        self.spec = spec
        self.places = Places.from_keys(rows.keys)
        self.rows = rows
        self.grouped = grouped
        self.label_set, self.sets = sets
        self.optical, self.radar, self.labels = optical, radar, labels

    def shard(self, number: int) -> ShardPlan:
        first, last = self.grouped.starts[number : number + 2]
        chosen = self.grouped.order[first:last]
        scenes = [self.optical[i] for i in np.unique(self.rows.optical[chosen])]
        scenes += [self.radar[i] for i in np.unique(self.rows.radar[chosen])]
        members = {i for s in np.unique(self.label_set[chosen]) for i in self.sets[s]}
        scenes += [self.labels[i] for i in members]
        return ShardPlan(
            split=SPLITS[self.grouped.splits[number]],
            chip_size=self.spec.chip_size,
            quality=self.spec.quality,
            labels=self.spec.labels,
            pairs=tuple(self._pair(int(row)) for row in chosen),
            scenes=tuple(sorted(scenes, key=lambda scene: (scene.collection, scene.id))),
        )

    def _pair(self, row: int) -> Pair:
        optical, radar = self.optical[self.rows.optical[row]], self.radar[self.rows.radar[row]]
        cell = self.places.cell(row)
        return Pair(
            chip=chip_id(cell, optical.time, radar.id, optical.id),
            cell=cell,
            radar=radar.id,
            optical=optical.id,
            labels=tuple(self.labels[i].id for i in self.sets[self.label_set[row]]),
            gap_hours=round((radar.time - optical.time).total_seconds() / 3600, 4),
        )

    def scenes(self) -> dict[str, int]:
        used = [self.optical[i] for i in np.unique(self.rows.optical)]
        used += [self.radar[i] for i in np.unique(self.rows.radar)]
        used += [self.labels[i] for i in {i for s in np.unique(self.label_set) for i in self.sets[s]}]
        return dict(sorted(Counter(scene.collection for scene in used).items()))
