"""What one call of the suite is about, and where its results are kept."""

from dataclasses import dataclass

from croma import storage
from croma.document import digest
from croma.evaluation.sources import Source
from croma.evaluation.spec import EvalSpec
from croma.shards.dataset import Dataset

FORMAT = 4
"""Raised when the same recipe would give other numbers."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Weights to be judged on a dataset version by a recipe."""

    spec: EvalSpec
    source: Source
    dataset: Dataset
    root: str
    champion: Source | None = None
    """The registered model to compare with; None where there is none, it is not asked for, or it is this very one."""

    @property
    def id(self) -> str:
        """Fingerprint of recipe, weights, dataset version and champion."""
        rival = None if self.champion is None else self.champion.fingerprint
        return digest([FORMAT, self.spec.fingerprint, self.source.fingerprint, str(self.dataset.ref), rival])

    def address(self, *parts: str) -> str:
        """Where a result is kept."""
        return storage.join(self.root, "evaluations", self.id, *parts)
