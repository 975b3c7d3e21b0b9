"""From a recipe's objective to the module that is trained. The one place that knows all objectives by name."""

from croma.objectives.croma import CromaObjective, CromaSpec
from croma.objectives.objective import Objective

ObjectiveSpec = CromaSpec
"""What a recipe may name; told apart by `kind`."""


def build(spec: ObjectiveSpec) -> Objective:
    """The objective with fresh weights from torch's global generator: seed it first."""
    return CromaObjective(spec)
