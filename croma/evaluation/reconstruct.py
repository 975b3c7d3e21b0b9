"""What the model makes of hidden patches, as images that can be looked at."""

from typing import NamedTuple

import torch
from torch import Tensor

from croma.batches.batch import Batch
from croma.batches.draws import uniform
from croma.model.croma import Croma
from croma.model.decoder import Decoder
from croma.model.decoder_file import Reconstruction
from croma.model.masking import TokenMask
from croma.model.patches import patchify, unpatchify

_RADAR_STREAM, _OPTICAL_STREAM = 201, 202


class Reconstructed(NamedTuple):
    """Normalised images, each (b, c, height, width)."""

    shown: Tensor
    """What the encoder saw: hidden patches are NaN."""
    filled: Tensor
    """The same with hidden patches as the decoder fills them in, clipped to [0, 1]."""


@torch.no_grad()
def reconstruct(
    model: Croma, decoder: Decoder, task: Reconstruction, batch: Batch
) -> tuple[Reconstructed, Reconstructed]:
    """Radar and optical images of `batch` with patches hidden as in training, and filled in.

    The decoder says patches less their mean, in units of their deviation; both are taken from the true patch, as
    pictures of masked autoencoders do.
    """
    spec = model.spec
    masks = tuple(
        TokenMask.from_noise(uniform(batch.keys, spec.tokens, stream), ratio)
        for stream, ratio in ((_RADAR_STREAM, task.radar_mask_ratio), (_OPTICAL_STREAM, task.optical_mask_ratio))
    )
    radar = model.radar_encoder(batch.radar, masks[0].keep)
    optical = model.optical_encoder(batch.optical, masks[1].keep)
    said = decoder(model.join(radar, optical, *masks), masks[0]).float()
    true_optical, true_radar = patchify(batch.optical, spec.patch), patchify(batch.radar, spec.patch)
    together = torch.cat([true_optical, true_radar], dim=2)
    sides = torch.split(said, [true_optical.shape[2], true_radar.shape[2]], dim=2)
    filled = [
        _scaled_like(side, together if task.target_norm == "official" else true)
        for side, true in zip(sides, (true_optical, true_radar), strict=True)
    ]
    return _images(true_radar, filled[1], masks[0], model), _images(true_optical, filled[0], masks[1], model)


def _scaled_like(said: Tensor, true: Tensor) -> Tensor:
    variance, mean = torch.var_mean(true, dim=2, keepdim=True)
    return (said * (variance + 1e-6).sqrt() + mean).clamp(0, 1)


def _images(true: Tensor, filled: Tensor, mask: TokenMask, model: Croma) -> Reconstructed:
    hidden, spec = mask.hidden[..., None], model.spec
    return Reconstructed(
        shown=unpatchify(torch.where(hidden, torch.nan, true), spec.grid, spec.patch),
        filled=unpatchify(torch.where(hidden, filled, true), spec.grid, spec.patch),
    )
