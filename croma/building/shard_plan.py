"""The plan of one shard: everything that filling it needs, and nothing else."""

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property

from croma.building.spec import ChipSize, Labels, Quality
from croma.catalog.scene import Scene
from croma.chip import Split
from croma.document import Document
from croma.pairing import Pair


class Cutting(Document):
    """How the chips of a dataset are cut."""

    chip_size: ChipSize
    quality: Quality
    labels: Labels | None


class ShardPlan(Document):
    """The pairs of one shard in the order they are written, with the scenes they come from.

    Law of purity: a shard is a function of its plan. Its id is a hash of all its content, so equal plans have equal ids
    and a changed scene, pair or threshold is another shard.
    """

    split: Split
    chip_size: ChipSize
    quality: Quality
    labels: Labels | None
    pairs: tuple[Pair, ...]
    scenes: tuple[Scene, ...]
    """Each scene of `pairs` once, sorted by collection and id."""

    @cached_property
    def id(self) -> str:
        """16 hex digits."""
        cutting = Cutting(chip_size=self.chip_size, quality=self.quality, labels=self.labels)
        scenes = (scene.fingerprint for scene in self.scenes)
        return shard_id(self.split, cutting.fingerprint, map(pair_line, self.pairs), scenes)

    @cached_property
    def _by_id(self) -> dict[tuple[str, str], Scene]:
        return {(scene.role or "label", scene.id): scene for scene in self.scenes}

    def radar(self, pair: Pair) -> Scene:
        """The radar scene of `pair`."""
        return self._by_id["radar", pair.radar]

    def optical(self, pair: Pair) -> Scene:
        """The optical scene of `pair`."""
        return self._by_id["optical", pair.optical]

    def label(self, pair: Pair) -> tuple[Scene, ...]:
        """The label scenes of `pair`, in the order they are laid over the chip."""
        return tuple(self._by_id["label", name] for name in pair.labels)


def pair_line(pair: Pair) -> str:
    """All of a pair in one line."""
    return json.dumps([pair.chip, *pair.cell, pair.radar, pair.optical, pair.gap_hours, *pair.labels])


def shard_id(split: Split, cutting: str, pairs: Iterable[str], scenes: Iterable[str]) -> str:
    """The id of a shard from its content.

    Args:
        split: of all its chips.
        cutting: fingerprint of how chips are cut.
        pairs: a line for each, in order.
        scenes: fingerprints, in order.
    """
    content = hashlib.sha256(f"{split}\n{cutting}\n".encode())
    for part in (pairs, scenes):
        content.update("\n".join(part).encode() + b"\n\n")
    return content.hexdigest()[:16]
