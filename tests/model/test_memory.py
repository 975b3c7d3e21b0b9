"""The memory that large images take: it grows with the tokens, not with their square."""

import subprocess
import sys

import pytest

PROBE = """
import resource, sys, torch
from croma.model.croma import Croma
from croma.model.spec import ModelSpec
torch.set_num_threads(1)
model = Croma(ModelSpec(encoder_dim=64, encoder_depth=2)).eval()
size = int(sys.argv[1])
image = torch.rand(1, 14, size, size)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with torch.no_grad():
    assert torch.isfinite(model(image[:, 12:], image[:, :12]).joint).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def megabytes(size: int) -> float:
    """Peak memory that encoding one image of `size` px adds to a fresh process."""
    command = [sys.executable, "-c", PROBE, str(size)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024


@pytest.mark.slow
def test_504_px_take_no_dense_bias() -> None:
    # 3,969 tokens, 16 heads: one bias of the whole image in float32 would be 961 MiB, and the scores as much again.
    assert megabytes(504) < 200
