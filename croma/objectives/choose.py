"""From a recipe's objective to the module that is trained. The one place that knows all objectives by name."""

from croma.objectives.croma import CromaObjective
from croma.objectives.objective import Objective
from croma.objectives.spec import ObjectiveSpec


def build(spec: ObjectiveSpec) -> Objective:
    """The objective with fresh weights from torch's global generator: seed it first."""
    return CromaObjective(spec)
