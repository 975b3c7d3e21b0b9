import pytest
import torch

from croma.model.spec import ModelSpec


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def tiny() -> ModelSpec:
    """A network that runs in a blink: 16 heads as published, a 6 × 4 grid, two optical blocks."""
    return ModelSpec(
        encoder_dim=48, encoder_depth=2, encoder_heads=16, patch=4, image=(24, 16), decoder_dim=32, decoder_heads=4
    )
