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
from croma.building.book import Book, Rows
from croma.building.candidates import Candidates, Ground, join
from croma.building.grouping import Grouped, group
from croma.building.layers import Members, label_sets
from croma.building.left_out import LeftOut, idle_scenes
from croma.building.placement import Sites
from croma.building.selection import known_chips, one_per_pass, select
from croma.building.shard_plan import Cutting, ShardPlan
from croma.building.spec import BuildSpec
from croma.building.usable import in_order, usable_optical, usable_radar
from croma.catalog.scene import Refusal, Scene
from croma.chip import SPLITS, Rejection
from croma.places import Integers


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be built."""

    book: Book
    """The pairs of all shards, in columns."""
    rejections: Sequence[Rejection]
    """Places that become no chip, and why: no-pair, split-buffer. Made when asked for."""
    refused: tuple[Refusal, ...]
    """Scenes that are not used, and why."""
    chips: dict[str, int]
    """Pairs by split."""
    scenes: dict[str, int]
    """Scenes that the pairs come from, by collection."""

    @property
    def shards(self) -> Sequence[ShardPlan]:
        """Made when asked for: a plan of ten million chips does not hold ten million objects."""
        return self.book.shards


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
    left_out, parts, idle, anything = LeftOut(spec), [], [], len(old.keys) > 0
    for epsg in sorted(set(ground.zones)):  # places belong to one zone, so zones can be planned one by one
        scenes = [number for number, zone in enumerate(ground.zones) if zone == epsg]
        found = join([ground.pair(number) for number in scenes])
        once = one_per_pass(found, optical_scenes)
        left_out.add(ground, scenes, np.union1d(found.keys, old.keys))
        idle += idle_scenes(ground, scenes, found, once)
        parts.append(select(once, optical_scenes, radar_scenes, old, spec.pair, spec.window))
        anything = anything or len(found.keys) > 0
        ground.forget()
    if not anything:
        raise left_out.error()
    rows = join(parts)
    label, sets = label_sets(rows, optical_scenes, label_scenes, spec.chip_size)
    splits = ground.splits(rows.keys)
    grouped = group(rows, splits, optical_scenes, radar_scenes, spec.chips_per_shard, spec.seed)
    book = _book(spec, rows, label, sets, grouped, (optical_scenes, radar_scenes, label_scenes))
    return Plan(
        book=book,
        rejections=left_out.rejections(),
        refused=refused_optical + refused_radar + tuple(idle),
        chips={name: int(np.sum(splits == number)) for number, name in enumerate(SPLITS)},
        scenes=dict(sorted(Counter(scene.collection for scene in book.scenes).items())),
    )


def _book(
    spec: BuildSpec,
    rows: Candidates,
    label: Integers,
    sets: list[Members],
    grouped: Grouped,
    scenes: tuple[Sequence[Scene], Sequence[Scene], Sequence[Scene]],
) -> Book:
    """The plan in columns, in the order in which it is written, with the scenes that are used and no others."""
    members = sorted({number for combination in sets for number in combination})
    used = [np.unique(column).astype(np.int64) for column in (rows.optical, rows.radar, members)]
    start = np.cumsum([0] + [len(column) for column in used])
    order = grouped.order
    written = Rows(
        rows.keys[order],
        np.searchsorted(used[0], rows.optical[order]) + start[0],
        np.searchsorted(used[1], rows.radar[order]) + start[1],
        label[order],
    )
    numbers = {int(i): int(start[2]) + n for n, i in enumerate(used[2])}
    return Book(
        Cutting(chip_size=spec.chip_size, quality=spec.quality, labels=spec.labels),
        grouped.splits.tolist(),
        lambda number: written.part(*grouped.starts[number : number + 2]),
        [table[int(i)] for table, chosen in zip(scenes, used, strict=True) for i in chosen],
        [tuple(numbers[i] for i in combination) for combination in sets],
    )
