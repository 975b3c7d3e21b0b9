"""CROMA: two sensor encoders, a joint encoder, and a vector for each. What is released, and what is evaluated.

Source: Fuller, Millard, Green, "CROMA: Remote Sensing Representations with Contrastive Radar-Optical Masked
Autoencoders", NeurIPS 2023.
"""

from typing import NamedTuple

from torch import Tensor, nn

from croma.model.encoders import Encoder, JointEncoder, token_positions
from croma.model.layers import Pool
from croma.model.masking import TokenMask
from croma.model.patches import grid_of
from croma.model.spec import ModelSpec


class Encodings(NamedTuple):
    """What CROMA makes of a batch. A sensor that was not given has None, and so has the joint part then."""

    radar: Tensor | None = None
    """(b, n, D), one encoding a patch."""
    optical: Tensor | None = None
    joint: Tensor | None = None
    radar_gap: Tensor | None = None
    """(b, D), one vector an image: the pooled encodings through a small network."""
    optical_gap: Tensor | None = None
    joint_gap: Tensor | None = None
    """(b, D), the mean of the joint encodings."""


class Croma(nn.Module):
    """The networks that are kept after pretraining."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        dim, depth, heads, patch = spec.encoder_dim, spec.encoder_depth, spec.encoder_heads, spec.patch
        biased = spec.positions == "alibi"
        self.radar_encoder = Encoder(spec.radar_channels, dim, depth // 2, heads, patch, biased)
        self.optical_encoder = Encoder(spec.optical_channels, dim, depth, heads, patch, biased)
        self.joint_encoder = JointEncoder(dim, depth // 2, heads, spec.joint_self_bias == "paper", biased)
        self.radar_pool = Pool(dim)
        self.optical_pool = Pool(dim)

    def forward(self, radar: Tensor | None = None, optical: Tensor | None = None) -> Encodings:
        """Encodings of normalised images, every patch seen.

        Args:
            radar: (b, 2, height, width), or None.
            optical: (b, 12, height, width), of the same height and width, or None.

        Raises:
            ValueError: neither is given, or their sizes differ or do not divide into patches.
        """
        if radar is None and optical is None:
            raise ValueError("nothing to encode: give radar, optical, or both")
        tokens = None if radar is None else self.radar_encoder(radar)
        context = None if optical is None else self.optical_encoder(optical)
        joint = None
        if radar is not None and optical is not None and tokens is not None and context is not None:
            places = token_positions(_common_grid(radar, optical, self.spec.patch), None, radar)
            joint = self.joint_encoder(tokens, context, places, places)
        return Encodings(
            radar=tokens,
            optical=context,
            joint=joint,
            radar_gap=None if tokens is None else self.radar_pool(tokens),
            optical_gap=None if context is None else self.optical_pool(context),
            joint_gap=None if joint is None else joint.mean(dim=1),
        )

    def join(self, radar: Tensor, optical: Tensor, radar_mask: TokenMask, optical_mask: TokenMask) -> Tensor:
        """Joint encodings (b, k, D) of the seen radar tokens (b, k, D), given the seen optical ones (b, m, D)."""
        grid = self.spec.grid
        places = (token_positions(grid, mask.keep, radar) for mask in (radar_mask, optical_mask))
        return self.joint_encoder(radar, optical, *places)  # type: ignore[no-any-return]


def _common_grid(radar: Tensor, optical: Tensor, patch: int) -> tuple[int, int]:
    grids = grid_of(radar, patch), grid_of(optical, patch)
    if grids[0] != grids[1]:
        raise ValueError(f"radar has {grids[0]} patches and optical {grids[1]} (rows, columns): they show one place")
    return grids[0]
