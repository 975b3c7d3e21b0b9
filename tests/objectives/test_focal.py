"""Fixture values were computed with NJU-LHRS/official-CMID at 6e1de74 on torch.randn(4, 3, 64, 64), seed 3, twice."""

import pytest
import torch

from croma.objectives.focal import focal_frequency, focal_l1, hidden_focal_l1, hidden_frequency


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    return torch.randn(4, 3, 64, 64, generator=draw), torch.randn(4, 3, 64, 64, generator=draw)


def test_published_values() -> None:
    prediction, target = pair()
    assert float(focal_l1(prediction, target).mean()) == pytest.approx(0.19565940, abs=1e-7)
    averaged = focal_frequency(prediction, target, across_batch=True, average=True)
    assert float(averaged) == pytest.approx(0.29247192, abs=1e-6)
    assert float(focal_frequency(prediction, target, across_batch=True)) == pytest.approx(1.18043554, abs=1e-5)


def test_each_image_counts_by_itself() -> None:
    prediction, target = pair()
    alone = [focal_frequency(p[None], t[None]) for p, t in zip(prediction, target, strict=True)]
    torch.testing.assert_close(focal_frequency(prediction, target), torch.stack(alone).mean())


def test_equal_images_cost_nothing_and_give_finite_gradients() -> None:
    image = torch.rand(2, 3, 8, 8, requires_grad=True)
    loss = focal_frequency(image, image.detach().clone()) + focal_l1(image, image.detach()).mean()
    loss.backward()
    assert float(loss.detach()) == 0
    assert image.grad is not None
    assert image.grad.isfinite().all()


def test_only_hidden_pixels_count() -> None:
    prediction, target = pair()
    hidden = torch.zeros(4, 1, 64, 64)
    hidden[..., :32] = 1
    expected = focal_l1(prediction[..., :32], target[..., :32]).mean()
    torch.testing.assert_close(hidden_focal_l1(prediction, target, hidden), expected)


def test_seen_pixels_receive_little_gradient_of_the_frequencies() -> None:
    prediction, target = pair()
    prediction.requires_grad_()
    hidden = torch.zeros(4, 1, 64, 64)
    hidden[..., :32] = 1
    hidden_frequency(prediction, target, hidden).backward()
    assert prediction.grad is not None
    seen, masked = prediction.grad[..., 32:].abs().mean(), prediction.grad[..., :32].abs().mean()
    assert 0 < float(seen) < 2e-3 * float(masked)
