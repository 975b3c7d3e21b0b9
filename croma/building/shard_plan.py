"""The plan of one shard: everything that filling it needs, and nothing else."""

from functools import cached_property

from croma.building.spec import ChipSize, Labels, Quality
from croma.catalog.scene import Scene
from croma.chip import Split
from croma.document import Document
from croma.pairing import Pair


class ShardPlan(Document):
    """The pairs of one shard in the order they are written, with the scenes they come from.

    Law of purity: a shard is a function of its plan. Its id is the fingerprint of its content, so equal plans have
    equal ids and a changed scene, pair or threshold is another shard.
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
        return self.fingerprint

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
