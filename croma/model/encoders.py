"""The encoders: one for each sensor, and the joint one that lets radar tokens look at optical tokens."""

from torch import Tensor, nn

from croma.model import alibi
from croma.model.alibi import Alibi
from croma.model.attention import prepare
from croma.model.layers import Block, CrossBlock, LayerNorm, Stack
from croma.model.patches import grid_of, patchify


class Encoder(nn.Module):
    """Tokens of one sensor's image: patches, embedded, through blocks whose attention falls with distance.

    Without `biased`, sines and cosines of their places are added to the embedded patches instead.
    """

    slopes: Tensor

    def __init__(self, channels: int, dim: int, depth: int, heads: int, patch: int, biased: bool = True) -> None:
        super().__init__()
        self.patch, self.dim, self.biased = patch, dim, biased
        self.embed = nn.Linear(channels * patch * patch, dim)
        self.blocks = Stack(Block(dim, heads) for _ in range(depth))
        self.norm = LayerNorm(dim)
        self.register_buffer("slopes", alibi.slopes(heads), persistent=False)

    def forward(self, image: Tensor, keep: Tensor | None = None, added: Tensor | None = None) -> Tensor:
        """Encodings of all patches, or of those in `keep` alone.

        Args:
            image: (b, c, height, width), of any size that is a multiple of the patch.
            keep: int64 (b, k). Patches are chosen before they are embedded, so hidden ones cost nothing.
            added: (b, n or k, D), added to the embedded patches.

        Returns:
            (b, n or k, D).
        """
        places = token_positions(grid_of(image, self.patch), keep, image)
        tokens = self.embed(patchify(image, self.patch, keep))
        tokens = tokens if added is None else tokens + added.to(tokens.dtype)
        if self.biased:
            return self.norm(self.blocks(tokens, prepare(Alibi(self.slopes, places, places), tokens)))  # type: ignore[no-any-return]
        return self.norm(self.blocks(tokens + alibi.sincos(places, self.dim).to(tokens.dtype), None))  # type: ignore[no-any-return]


class JointEncoder(nn.Module):
    """Radar tokens that attend to themselves (2D-ALiBi) and to optical tokens (X-ALiBi)."""

    slopes: Tensor

    def __init__(self, dim: int, depth: int, heads: int, own_positions: bool, biased: bool = True) -> None:
        """Builds `depth` blocks.

        With `own_positions`, self-attention measures distance between radar tokens, as in the paper; without, its keys
        stand where the optical tokens stand, as in the published code. Without `biased` no attention knows of distance.
        """
        super().__init__()
        self.own_positions, self.biased = own_positions, biased
        self.blocks = Stack(CrossBlock(dim, heads) for _ in range(depth))
        self.norm = LayerNorm(dim)
        self.register_buffer("slopes", alibi.slopes(heads), persistent=False)

    def forward(self, radar: Tensor, optical: Tensor, radar_places: Tensor, optical_places: Tensor) -> Tensor:
        """Joint encodings, one for each radar token.

        Args:
            radar: (b, n, D), from its encoder.
            optical: (b, m, D), from its encoder.
            radar_places: (b or 1, n, 2), see `token_positions`.
            optical_places: (b or 1, m, 2).

        Returns:
            (b, n, D).
        """
        if not self.biased:
            return self.norm(self.blocks(radar, optical, None, None))  # type: ignore[no-any-return]
        cross = prepare(Alibi(self.slopes, radar_places, optical_places), radar)
        own = prepare(Alibi(self.slopes, radar_places, radar_places), radar) if self.own_positions else cross
        return self.norm(self.blocks(radar, optical, own, cross))  # type: ignore[no-any-return]


def token_positions(grid: tuple[int, int], keep: Tensor | None, like: Tensor) -> Tensor:
    """float32 (b or 1, n, 2): where each token stands in the grid, in patches, on the device of `like`."""
    return alibi.grid_positions(grid, like.device) if keep is None else alibi.positions(keep, grid[1])
