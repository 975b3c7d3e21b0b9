import pytest
import torch
from torch.nn.attention import SDPBackend

from croma.model import attention
from croma.model.alibi import Alibi, grid_positions, slopes
from croma.model.attention import attend, prepare


@pytest.fixture
def grid() -> tuple[Alibi, list[torch.Tensor]]:
    places = grid_positions((9, 17), torch.device("cpu"))
    tokens = [torch.randn(2, 4, 153, 8) for _ in range(3)]
    return Alibi(slopes(4), places, places), tokens


def explicit(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return (query @ key.mT / query.shape[-1] ** 0.5 + bias).softmax(-1) @ value


def test_matches_attention_written_out(grid: tuple) -> None:
    alibi, tokens = grid
    bias = alibi.dense(torch.float32)
    torch.testing.assert_close(attend(*tokens, bias), explicit(*tokens, bias))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_the_same_written_out_and_fused(
    grid: tuple, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    alibi, tokens = grid
    tokens = [token.to(dtype).requires_grad_() for token in tokens]
    bias = alibi.dense(dtype)
    found = []
    for limit in (0, 1000):
        monkeypatch.setattr(attention, "WRITTEN_KEYS", limit)
        found.append(torch.autograd.grad(attend(*tokens, bias).float().square().sum(), tokens))
    tolerance = {"atol": 2e-2, "rtol": 2e-2} if dtype == torch.bfloat16 else {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(*found, **tolerance)


@pytest.mark.parametrize(
    ("dtype", "trained", "limit", "written"),
    [
        (torch.bfloat16, True, 153, True),
        (torch.bfloat16, True, 152, False),
        (torch.bfloat16, False, 153, False),
        (torch.float32, True, 153, False),
    ],
)
def test_bfloat16_that_is_differentiated_is_written_out_while_small(
    grid: tuple, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, trained: bool, limit: int, written: bool
) -> None:
    monkeypatch.setattr(attention, "WRITTEN_KEYS", limit)
    query, key, _ = (token.to(dtype).requires_grad_(trained) for token in grid[1])
    assert (attention._backends(query, key) == [SDPBackend.MATH]) is written


def test_chunks_match_the_dense_bias(grid: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    alibi, tokens = grid
    tokens = [token.requires_grad_() for token in tokens]
    dense = attend(*tokens, alibi.dense(torch.float32))
    expected = torch.autograd.grad(dense.square().sum(), tokens)
    monkeypatch.setattr(attention, "CHUNK", 10 * 153)
    chunked = attend(*tokens, alibi)
    found = torch.autograd.grad(chunked.square().sum(), tokens)
    torch.testing.assert_close(chunked, dense)
    torch.testing.assert_close(found, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_flex_attention_matches_the_dense_bias(grid: tuple) -> None:
    alibi, tokens = grid
    torch.testing.assert_close(
        attention._flexed(*tokens, alibi), attend(*tokens, alibi.dense(torch.float32)), atol=1e-5, rtol=1e-5
    )


def test_the_bias_is_written_out_only_while_it_is_small(monkeypatch: pytest.MonkeyPatch, grid: tuple) -> None:
    alibi, tokens = grid
    assert isinstance(prepare(alibi, tokens[0]), torch.Tensor)
    monkeypatch.setattr(attention, "DENSE_LIMIT", 153 * 153 - 1)
    assert prepare(alibi, tokens[0]) is alibi


def test_the_bias_has_the_type_that_attention_computes_in(grid: tuple) -> None:
    alibi, tokens = grid
    assert prepare(alibi, tokens[0]).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert prepare(alibi, tokens[0]).dtype == torch.bfloat16
    assert prepare(alibi, tokens[0].bfloat16()).dtype == torch.bfloat16
