"""Every objective in the real step: whole or in pieces, the same loss, gradient and state afterwards."""

from typing import Any

import pytest
import torch

from croma.training.settings import AdamW
from croma.training.step import Stepper
from tests.objectives import test_cmid, test_croma, test_dual_encoder
from tests.objectives.contract import BATCH, ObjectiveContract, assert_close, split

CONTRACTS = [
    test_croma.TestOfficial,
    test_croma.TestReconstructionOnly,
    test_dual_encoder.TestSensors,
    test_cmid.TestOptical,
    test_cmid.TestBothSensorsWithResNet,
]


def steps(contract: type[ObjectiveContract], pieces: int) -> tuple[list[float], Any]:
    torch.set_num_threads(1)
    objective = contract.build()
    stepper = Stepper(objective, AdamW(), "float32")
    losses = []
    for step in range(2):
        outcome = stepper.gradient(split(contract.batch(), pieces), BATCH)
        stepper.update(1e-4, outcome.grad_norm)
        objective.update(step, 2)
        losses += [outcome.loss, outcome.grad_norm]
    return losses, objective.state_dict()


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: f"{contract.__module__}.{contract.__name__}")
def test_pieces_leave_the_same_state(contract: type[ObjectiveContract]) -> None:
    losses, state = steps(contract, 1)
    again, other = steps(contract, 4)
    assert again == pytest.approx(losses, rel=1e-4)
    for name, tensor in state.items():
        if tensor.is_floating_point():
            # Adam's first steps have the size of the rate whatever the gradient, so its sign is what may differ.
            assert_close(other[name], tensor, 1e-3 if name == "queue" else 1e-2, name)
        else:
            assert torch.equal(other[name], tensor), name
