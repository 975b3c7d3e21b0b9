import numpy as np
import pytest
import torch

from croma.batches.draws import integers, mix, uniform

KEYS = torch.from_numpy(np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 4096))


def test_mix_is_splitmix64() -> None:
    # The first three outputs of the published generator seeded with 0.
    golden = 0x9E3779B97F4A7C15
    states = torch.from_numpy(np.array([golden * i % 2**64 for i in (1, 2, 3)], np.uint64).view(np.int64))
    words = [int(word) & (2**64 - 1) for word in mix(states)]
    assert words == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_draws_never_change() -> None:
    # A change here would change every run that was ever made.
    numbers = [0.3380524516105652, 0.26913022994995117, 0.5225540399551392, 0.2864190340042114]
    assert uniform(torch.tensor([0, 1]), 2, 1).flatten().tolist() == numbers


def test_numbers_are_uniform() -> None:
    numbers = uniform(KEYS, 225, 101).double()
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = torch.histc(numbers, 64, 0, 1)
    expected = numbers.numel() / 64
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < 63 + 5 * (2 * 63) ** 0.5


@pytest.mark.parametrize("keys", [KEYS, torch.arange(4096), torch.arange(4096) << 32], ids=["random", "small", "high"])
def test_numbers_are_independent(keys: torch.Tensor) -> None:
    # Of one key, of neighbouring keys, of two streams: no correlation beyond chance (5 standard errors).
    first, second = uniform(keys, 8, 1).double() - 0.5, uniform(keys, 8, 2).double() - 0.5
    limit = 5 / 12 / len(keys) ** 0.5
    within = first.T @ first / len(keys)
    assert (within - torch.diag(within.diag())).abs().max() < limit
    assert (first.T @ second / len(keys)).abs().max() < limit
    assert ((first[:-1] * first[1:]).mean(0)).abs().max() < limit


def test_a_draw_depends_on_its_key_alone() -> None:
    together = uniform(KEYS, 10, 3)
    shuffled = torch.randperm(len(KEYS), generator=torch.Generator().manual_seed(0))
    assert torch.equal(uniform(KEYS[shuffled], 10, 3), together[shuffled])
    assert torch.equal(uniform(KEYS[7:8], 10, 3)[0], together[7])
    assert torch.equal(uniform(KEYS, 4, 3), together[:, :4])


@pytest.mark.slow
def test_compiled_draws_are_the_same() -> None:
    compiled = torch.compile(uniform, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(KEYS, 10, 3), uniform(KEYS, 10, 3))


def test_integers_cover_their_range_evenly() -> None:
    counts = torch.bincount(integers(KEYS, 8, 2)[:, 0], minlength=8)
    assert len(counts) == 8
    assert (counts - 512).abs().max() < 5 * 512**0.5
    assert integers(KEYS, 1, 2).max() == 0
