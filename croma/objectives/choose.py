"""From a recipe's objective to the module that is trained. The one place that knows all objectives by name."""

from croma.objectives.cmid import Cmid
from croma.objectives.croma import CromaObjective
from croma.objectives.dual_encoder import DualEncoder
from croma.objectives.objective import Objective
from croma.objectives.spec import CromaSpec, DualEncoderSpec, ObjectiveSpec


def build(spec: ObjectiveSpec) -> Objective:
    """The objective with fresh weights from torch's global generator: seed it first."""
    if isinstance(spec, CromaSpec):
        return CromaObjective(spec)
    return DualEncoder(spec) if isinstance(spec, DualEncoderSpec) else Cmid(spec)
