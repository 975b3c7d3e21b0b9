import torch

from croma.objectives.reconstruction import hidden_error, normalise


def test_error_is_the_mean_over_hidden_patches() -> None:
    prediction, target = torch.rand(3, 10, 7), torch.rand(3, 10, 7)
    hidden = torch.stack([torch.randperm(10) < 6 for _ in range(3)])
    expected = ((prediction - target) ** 2)[hidden].mean()
    torch.testing.assert_close(hidden_error(prediction, target, hidden), expected)


def test_seen_patches_receive_no_gradient() -> None:
    prediction = torch.rand(1, 4, 3, requires_grad=True)
    hidden = torch.tensor([[True, False, True, False]])
    hidden_error(prediction, torch.rand(1, 4, 3), hidden).backward()
    assert prediction.grad is not None
    assert (prediction.grad.abs().sum(-1) > 0).tolist() == hidden.tolist()


def test_normalise_uses_the_unbiased_variance() -> None:
    patches = torch.rand(2, 3, 50) * 40 + 7
    normal = normalise(patches.bfloat16().float())
    torch.testing.assert_close(normal.mean(-1), torch.zeros(2, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal.var(-1, correction=1), torch.ones(2, 3), atol=1e-4, rtol=0)
