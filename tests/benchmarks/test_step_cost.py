import pytest
import torch

from benchmarks.step_cost import PUBLISHED, Ledger, cuda_autocast, ours, stored_bytes
from croma.model.spec import BASE, LARGE, ModelSpec


def test_a_ledger_counts_kernels_bytes_and_flops() -> None:
    a, b = torch.rand(4, 8), torch.rand(8, 2)
    with Ledger() as ledger:
        (a @ b).t().unsqueeze(0)
    assert (ledger.cost.kernels, ledger.cost.flops) == (1, 2 * 4 * 8 * 2)
    assert ledger.cost.bytes == 4 * (32 + 16 + 8)


def test_repeated_elements_count_once() -> None:
    assert stored_bytes(torch.rand(3, 1, 5).expand(3, 7, 5)) == 60


def test_wide_operations_are_those_of_cuda() -> None:
    narrow = torch.rand(2, 4, dtype=torch.bfloat16)
    with cuda_autocast():
        assert torch.nn.functional.layer_norm(narrow, (4,)).dtype == torch.float32
        assert torch.nn.functional.linear(narrow, torch.rand(3, 4)).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.nn.functional.layer_norm(narrow, (4,)).dtype == torch.bfloat16


@pytest.mark.slow
@pytest.mark.parametrize(("size", "spec"), [("base", BASE), ("large", LARGE)])
def test_a_step_is_cheaper_than_the_published_one(size: str, spec: ModelSpec) -> None:
    kernels, megabytes = PUBLISHED[size]
    found = ours(spec, 512).per_sample(512)
    assert found["kernels"] <= 0.75 * kernels
    assert found["megabytes"] <= 0.65 * megabytes
