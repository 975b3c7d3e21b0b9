"""What it takes to be an objective: a loss over the global batch, split so that it can be computed in pieces.

A contrastive term couples all samples of the global batch; everything else is a mean over samples. An objective says
which is which, and `croma.training.step` then gives one gradient whatever the number of workers and micro-batches
(GradCache: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup").
"""

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from croma.batches.batch import Batch

Features = dict[str, Tensor]
"""By name, each (b, …): what the coupled terms need of every sample."""


class Local(NamedTuple):
    """What a piece of the batch gives by itself."""

    features: Features
    terms: dict[str, Tensor]
    """By name, scalar means over the samples of the piece; pieces of equal size average to the whole."""


class LossTerms(NamedTuple):
    """The loss of a global batch."""

    total: Tensor
    """Scalar, the weighted sum of `parts`."""
    parts: dict[str, Tensor]
    """Scalars by name, unweighted."""


@runtime_checkable
class Objective(Protocol):
    """A torch module with these methods. Proved with `tests/objectives/contract.py`."""

    weights: dict[str, float]
    """Weight of every term, local and coupled, by name."""

    def features(self, batch: Batch) -> Features:
        """Only what `coupled` needs: the cheap first pass when the batch is cut into micro-batches."""
        ...

    def forward(self, batch: Batch) -> Local:
        """Features and local terms of one piece of the batch. Draws come from `batch.keys`, so it repeats exactly."""
        ...

    def coupled(self, features: Features) -> dict[str, Tensor]:
        """Scalar terms of the features of the whole global batch, in global order."""
        ...

    def update(self, step: int, steps: int) -> None:
        """Called after every optimiser step `step` of `steps`: moving averages, queues, schedules. Often nothing."""
        ...
