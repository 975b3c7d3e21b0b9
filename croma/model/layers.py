"""The blocks: pre-norm attention and feed-forward, each adding to the tokens it was given.

Letters in shapes: b batch, n tokens, h heads, d width of a head, D = h · d width of a token.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from croma.model.attention import Bias, attend, compute_dtype


class LayerNorm(nn.LayerNorm):
    """Layer norm in the type of its input, with float32 statistics inside.

    Autocast would widen 16-bit tokens to float32 and the next linear layer narrow them again: three passes over memory
    for one.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """(…, D) to (…, D)."""
        weight, bias = self.weight.to(tokens.dtype), self.bias.to(tokens.dtype)
        with torch.autocast(tokens.device.type, enabled=False):
            return functional.layer_norm(tokens, self.normalized_shape, weight, bias, self.eps)


class SelfAttention(nn.Module):
    """tokens + out(attention(norm(tokens)))."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, bias: Bias) -> Tensor:
        """(b, n, D) to (b, n, D)."""
        query, key, value = _heads(self.qkv(self.norm(tokens)), 3, self.heads)
        return torch.add(tokens, self.out(attend(query, key, value, bias).transpose(1, 2).flatten(2)))


class CrossAttention(nn.Module):
    """tokens + out(attention(norm(tokens), norm(context))): one norm serves both, as published."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = LayerNorm(dim)
        self.query = nn.Linear(dim, dim, bias=False)
        self.kv = nn.Linear(dim, 2 * dim, bias=False)
        self.out = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, context: Tensor, bias: Bias) -> Tensor:
        """(b, n, D) and context (b, m, D) to (b, n, D)."""
        (query,) = _heads(self.query(self.norm(tokens)), 1, self.heads)
        key, value = _heads(self.kv(self.norm(context)), 2, self.heads)
        return torch.add(tokens, self.out(attend(query, key, value, bias).transpose(1, 2).flatten(2)))


class FeedForward(nn.Module):
    """tokens + down(gelu(up(norm(tokens)))), four times as wide inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = LayerNorm(dim)
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(b, n, D) to (b, n, D)."""
        return torch.add(tokens, self.down(functional.gelu(self.up(self.norm(tokens)))))


class Block(nn.Module):
    """Self-attention, then feed-forward."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, heads)
        self.feedforward = FeedForward(dim)

    def forward(self, tokens: Tensor, bias: Bias = None) -> Tensor:
        """(b, n, D) to (b, n, D)."""
        tokens = self.attention(tokens, bias)
        return self.feedforward(tokens)  # type: ignore[no-any-return]


class CrossBlock(nn.Module):
    """Self-attention, then attention to another sensor's tokens, then feed-forward."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, heads)
        self.cross = CrossAttention(dim, heads)
        self.feedforward = FeedForward(dim)

    def forward(self, tokens: Tensor, context: Tensor, bias: Bias, cross_bias: Bias) -> Tensor:
        """(b, n, D) and context (b, m, D) to (b, n, D)."""
        tokens = self.attention(tokens, bias)
        tokens = self.cross(tokens, context, cross_bias)
        return self.feedforward(tokens)  # type: ignore[no-any-return]


class Stack(nn.ModuleList):
    """Blocks in a row. With `recompute`, their activations are computed again in the backward pass, not kept."""

    recompute = False

    def forward(self, tokens: Tensor, *others: Bias) -> Tensor:
        """(b, n, D) to (b, n, D); `others` go to every block."""
        vectors = {} if torch.compiler.is_compiling() else _narrow_vectors(self, compute_dtype(tokens))
        return torch.func.functional_call(self, vectors, (tokens, *others)) if vectors else self._run(tokens, *others)

    def _run(self, tokens: Tensor, *others: Bias) -> Tensor:
        for block in self:
            if self.recompute and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, *others, use_reentrant=False, preserve_rng_state=False)
            else:
                tokens = block(tokens, *others)
        return tokens


class Pool(nn.Module):
    """An image's vector from its tokens: down(gelu(up(norm(mean of the tokens))))."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = LayerNorm(dim)
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(b, n, D) to (b, D)."""
        mean = tokens.mean(dim=1, dtype=torch.float32).to(self.norm.weight.dtype)
        return self.down(functional.gelu(self.up(self.norm(mean))))  # type: ignore[no-any-return]


def recompute_activations(module: nn.Module, enabled: bool = True) -> None:
    """Trades time for memory in every stack of blocks inside `module`: one more forward pass, far fewer activations."""
    for part in module.modules():
        if isinstance(part, Stack):
            part.recompute = enabled


def _narrow_vectors(module: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    """The vectors among the parameters (biases, norms) in `dtype`, cast all at once; none where they have it already.

    Autocast would launch a kernel for each of them, forward and backward: in CROMA, a quarter of all kernels.
    """
    wide = {name: p for name, p in module.named_parameters() if p.ndim == 1 and p.dtype != dtype}
    if not wide:
        return {}
    flat = torch.cat(list(wide.values())).to(dtype)
    return dict(zip(wide, torch.split(flat, [len(p) for p in wide.values()]), strict=True))


def _heads(features: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """(b, n, parts · D) to `parts` tensors (b, h, n, d): no copy here, and one in the backward pass."""
    return tuple(torch.unflatten(part, -1, (heads, -1)).transpose(1, 2) for part in features.chunk(parts, dim=-1))
