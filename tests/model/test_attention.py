import pytest
import torch

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
