"""The decoder of pretraining: from the joint encodings of the seen patches back to the pixels of all of them."""

import torch
from torch import Tensor, nn

from croma.model.alibi import grid_positions, sincos
from croma.model.layers import Block, LayerNorm, Stack
from croma.model.masking import TokenMask
from croma.model.spec import ModelSpec


class Decoder(nn.Module):
    """Puts seen tokens back in their places, a learnt token in the others, and predicts every patch of both sensors."""

    places: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        dim, channels = spec.decoder_dim, spec.optical_channels + spec.radar_channels
        self.embed = nn.Linear(spec.encoder_dim, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim).normal_(std=0.02))
        self.blocks = Stack(Block(dim, spec.decoder_heads) for _ in range(spec.decoder_depth))
        self.norm = LayerNorm(dim)
        self.predict = nn.Linear(dim, channels * spec.patch**2)
        self.register_buffer("places", sincos(grid_positions(spec.grid, torch.device("cpu")), dim), persistent=False)

    def forward(self, joint: Tensor, mask: TokenMask) -> Tensor:
        """Normalised pixels of every patch.

        Args:
            joint: (b, k, D), joint encodings of the radar tokens seen.
            mask: which radar tokens these are.

        Returns:
            (b, n, (optical + radar channels) · p · p), optical channels first.
        """
        tokens = self.embed(joint)
        index = mask.keep[..., None].expand_as(tokens)
        empty = self.mask_token.to(tokens.dtype).expand(len(tokens), mask.hidden.shape[1], -1)
        tokens = empty.scatter(1, index, tokens) + self.places.to(tokens.dtype)
        return self.predict(self.norm(self.blocks(tokens)))  # type: ignore[no-any-return]
