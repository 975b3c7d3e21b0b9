import math

import pytest
import torch

from croma.model.alibi import Alibi, grid_positions, positions, slopes


def brute_force(heads: int, rows: int, columns: int) -> torch.Tensor:
    """The definition, one pair of patches at a time."""
    points = [(row, column) for row in range(rows) for column in range(columns)]
    distance = torch.tensor([[math.dist(p, q) for q in points] for p in points])
    return -slopes(heads)[:, None, None] * distance


def test_slopes_of_sixteen_heads_halve_every_second_head() -> None:
    torch.testing.assert_close(slopes(16), torch.tensor([2 ** (-(i + 1) / 2) for i in range(16)]))


def test_slopes_of_other_numbers_interleave_the_next_power_of_two() -> None:
    assert slopes(12).tolist() == slopes(8).tolist() + slopes(16).tolist()[0:8:2]
    assert slopes(1).shape == (1,)
    assert all(len(slopes(heads)) == heads and bool((slopes(heads) > 0).all()) for heads in range(1, 40))


@pytest.mark.parametrize("heads", [3, 8, 16])
@pytest.mark.parametrize("grid", [(12, 12), (15, 15), (3, 7)])
def test_closed_form_is_the_definition(heads: int, grid: tuple[int, int]) -> None:
    places = grid_positions(grid, torch.device("cpu"))
    bias = Alibi(slopes(heads), places, places).dense(torch.float32)
    assert torch.equal(bias[0], brute_force(heads, *grid))


def test_masked_bias_is_the_rows_and_columns_of_the_whole() -> None:
    whole = brute_force(16, 5, 7)
    ids_q = torch.stack([torch.randperm(35)[:9] for _ in range(3)])
    ids_k = torch.stack([torch.randperm(35)[:11] for _ in range(3)])
    bias = Alibi(slopes(16), positions(ids_q, 7), positions(ids_k, 7)).dense(torch.float32)
    for sample, q, k in zip(bias, ids_q, ids_k, strict=True):
        assert torch.equal(sample, whole[:, q][:, :, k])


def test_slices_make_up_the_whole() -> None:
    places = grid_positions((5, 5), torch.device("cpu"))
    alibi = Alibi(slopes(4), places, places)
    parts = [alibi.rows(start, start + 10, torch.float32) for start in (0, 10, 20)]
    assert torch.equal(torch.cat(parts, dim=2), alibi.dense(torch.float32))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_are_aligned_for_fused_kernels(dtype: torch.dtype) -> None:
    places = grid_positions((15, 15), torch.device("cpu"))
    bias = Alibi(slopes(16), places, places).dense(dtype)
    assert bias.dtype == dtype
    assert bias.shape == (1, 16, 225, 225)
    assert bias.stride(-1) == 1
    assert all(stride % 8 == 0 for stride in bias.stride()[:-1])
