import math

import torch

from croma.objectives.contrastive import Projection, cross_modal, initial_log_scale


def rows(count: int = 6, width: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    made = (torch.randn(count, width, generator=draw) for _ in range(2))
    left, right = (torch.nn.functional.normalize(one) for one in made)
    return left.requires_grad_(), right.requires_grad_()


def by_hand(left: torch.Tensor, right: torch.Tensor, scale: float) -> float:
    """InfoNCE as a double loop."""
    total = 0.0
    for one, other in ((left, right), (right, left)):
        for i in range(len(one)):
            similarities = [scale * float(one[i] @ other[j]) for j in range(len(other))]
            total += math.log(sum(math.exp(s) for s in similarities)) - similarities[i]
    return total / (2 * len(left))


def test_equals_the_double_loop() -> None:
    left, right = rows()
    expected = by_hand(left, right, 1 / 0.07)
    for through_keys in (False, True):
        loss = cross_modal(left, right, initial_log_scale(), through_keys)
        assert math.isclose(float(loss.detach()), expected, rel_tol=1e-5)


def test_only_searching_rows_receive_gradient() -> None:
    """Each side's gradient is that of its own search, the rows searched held still."""
    left, right = rows()
    labels = torch.arange(6)
    logits = torch.tensor(1 / 0.07) * left @ right.detach().T
    (expected,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels) / 2, left)
    (found,) = torch.autograd.grad(cross_modal(left, right, initial_log_scale(), False), left)
    torch.testing.assert_close(found, expected)
    (both_ways,) = torch.autograd.grad(cross_modal(left, right, initial_log_scale(), True), left)
    assert (both_ways - expected).abs().max() > 0.01


def test_the_temperature_learns_the_same_either_way() -> None:
    left, right = rows()
    gradients = []
    for through_keys in (False, True):
        scale = initial_log_scale().requires_grad_()
        gradients += torch.autograd.grad(cross_modal(left, right, scale, through_keys), scale)
    torch.testing.assert_close(*gradients)


def test_is_computed_in_float32_under_autocast() -> None:
    left, right = rows()
    with torch.autocast("cpu", torch.bfloat16):
        narrow = cross_modal(left, right, initial_log_scale(), True)
    assert torch.equal(narrow, cross_modal(left, right, initial_log_scale(), True))


def test_projections_have_length_one() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        projected = Projection(8)(torch.randn(4, 8))
    assert projected.dtype == torch.float32
    torch.testing.assert_close(projected.norm(dim=1), torch.ones(4))
