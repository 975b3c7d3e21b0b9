import torch

from croma.batches.draws import uniform
from croma.model.masking import TokenMask, kept


def test_keeps_as_many_as_published() -> None:
    shares = {0.25: 168, 0.5: 112, 0.6: 90, 0.7: 67, 0.75: 56, 0.8: 44, 0.9: 22}
    assert {ratio: kept(225, ratio) for ratio in shares} == shares


def test_keeps_the_least_noise_and_hides_the_rest() -> None:
    noise = torch.rand(5, 30)
    mask = TokenMask.from_noise(noise, 0.75)
    assert mask.keep.shape == (5, 7)
    assert torch.equal(noise.gather(1, mask.keep), noise.sort(dim=1).values[:, :7])
    for keep, hidden in zip(mask.keep, mask.hidden, strict=True):
        assert sorted([*keep.tolist(), *hidden.nonzero()[:, 0].tolist()]) == list(range(30))


def test_equal_noise_keeps_the_first() -> None:
    assert TokenMask.from_noise(torch.zeros(1, 200), 0.5).keep.tolist() == [list(range(100))]


def test_every_patch_is_hidden_equally_often() -> None:
    mask = TokenMask.from_noise(uniform(torch.arange(4000), 36, 101), 0.75)
    share = mask.hidden.float().mean(dim=0)
    assert mask.hidden.sum(dim=1).unique().tolist() == [27]
    assert (share - 0.75).abs().max() < 5 * (0.75 * 0.25 / 4000) ** 0.5
