"""CROMA's objective: contrast of radar with optical, and reconstruction of both from their joint encodings.

Both terms come from one pass over the seen patches. Three switches choose between the published code (`official`) and
the paper (`paper`); the fourth, `joint_self_bias`, belongs to `croma.model.spec.ModelSpec`.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from croma.batches.batch import Batch
from croma.batches.draws import uniform
from croma.model.croma import Croma
from croma.model.decoder import Decoder
from croma.model.masking import TokenMask
from croma.model.patches import patchify
from croma.model.spec import Departure
from croma.objectives.contrastive import Projection, cross_modal, initial_log_scale
from croma.objectives.objective import Features, Local
from croma.objectives.reconstruction import hidden_error, normalise
from croma.objectives.spec import CromaSpec

MASK_STREAM = 101
"""Stream of `croma.batches.draws.uniform`."""

LARGEST_SCALE = 100.0
"""1 / temperature is kept below this where it is clamped, as CLIP does."""


class _Seen(NamedTuple):
    """The part of a pass that both terms share."""

    radar: Tensor
    """(b, k, D), encodings of the seen patches."""
    optical: Tensor
    radar_mask: TokenMask
    optical_mask: TokenMask


class CromaObjective(nn.Module):
    """See the head of this file. `model` is what is kept afterwards."""

    def __init__(self, spec: CromaSpec) -> None:
        super().__init__()
        self.spec = spec
        self.model = Croma(spec.model)
        self.weights: dict[str, float] = {}
        if spec.contrast_weight:
            self.weights["contrast"] = spec.contrast_weight
            self.radar_projection = Projection(spec.model.encoder_dim)
            self.optical_projection = Projection(spec.model.encoder_dim)
            self.log_scale = nn.Parameter(initial_log_scale())
        else:
            self.model.radar_pool.requires_grad_(False)
            self.model.optical_pool.requires_grad_(False)
        if spec.reconstruction_weight:
            self.weights["optical_reconstruction"] = spec.reconstruction_weight
            self.weights["radar_reconstruction"] = spec.reconstruction_weight
            self.decoder = Decoder(spec.model)
        else:
            self.model.joint_encoder.requires_grad_(False)

    def masks(self, keys: Tensor) -> tuple[TokenMask, TokenMask]:
        """The radar and optical masks of the samples with these keys, int64 (b,)."""
        radar, optical = uniform(keys, 2 * self.spec.model.tokens, MASK_STREAM).chunk(2, dim=1)
        optical = radar if self.spec.masks == "joint" else optical
        return (
            TokenMask.from_noise(radar, self.spec.radar_mask_ratio),
            TokenMask.from_noise(optical, self.spec.optical_mask_ratio),
        )

    def features(self, batch: Batch) -> Features:
        """Unit vectors `radar` and `optical`, float32 (b, D); none when there is no contrast."""
        return self._features(self._see(batch)) if "contrast" in self.weights else {}

    def forward(self, batch: Batch) -> Local:
        """Features, and the mean squared errors of the hidden optical and of the hidden radar patches."""
        seen = self._see(batch)
        features = self._features(seen) if "contrast" in self.weights else {}
        terms = self._reconstruct(batch, seen) if "optical_reconstruction" in self.weights else {}
        return Local(features=features, terms=terms)

    def coupled(self, features: Features) -> dict[str, Tensor]:
        """The contrastive term of the global batch."""
        if "contrast" not in self.weights:
            return {}
        through_keys = self.spec.contrast_grad == "paper"
        return {"contrast": cross_modal(features["radar"], features["optical"], self.log_scale, through_keys)}

    @torch.no_grad()
    def update(self, step: int, steps: int) -> None:  # noqa: ARG002 - the protocol's words
        """Keeps the temperature in its bounds, where it has any."""
        if "contrast" in self.weights and self.spec.clamp_temperature == "paper":
            self.log_scale.clamp_(max=math.log(LARGEST_SCALE))

    def predict(self, batch: Batch) -> tuple[Tensor, TokenMask, TokenMask]:
        """Normalised pixels of all patches as `Decoder` gives them, and which radar and optical patches were hidden."""
        seen = self._see(batch)
        return self._decode(seen), seen.radar_mask, seen.optical_mask

    def _see(self, batch: Batch) -> _Seen:
        size = self.spec.model.size
        for sensor, image in (("radar", batch.radar), ("optical", batch.optical)):
            if tuple(image.shape[-2:]) != size:
                raise ValueError(f"{sensor} images are {tuple(image.shape[-2:])} px; the model is set to image={size}")
        radar_mask, optical_mask = self.masks(batch.keys)
        return _Seen(
            radar=self.model.radar_encoder(batch.radar, radar_mask.keep),
            optical=self.model.optical_encoder(batch.optical, optical_mask.keep),
            radar_mask=radar_mask,
            optical_mask=optical_mask,
        )

    def _features(self, seen: _Seen) -> Features:
        return {
            "radar": self.radar_projection(self.model.radar_pool(seen.radar)),
            "optical": self.optical_projection(self.model.optical_pool(seen.optical)),
        }

    def _decode(self, seen: _Seen) -> Tensor:
        joint = self.model.join(*seen)
        return self.decoder(joint, seen.radar_mask)  # type: ignore[no-any-return]

    def _reconstruct(self, batch: Batch, seen: _Seen) -> dict[str, Tensor]:
        optical, radar = targets(batch, self.spec.model.patch, self.spec.target_norm)
        optical_prediction, radar_prediction = torch.split(self._decode(seen), [optical.shape[-1], radar.shape[-1]], -1)
        return {
            "optical_reconstruction": hidden_error(optical_prediction, optical, seen.optical_mask.hidden),
            "radar_reconstruction": hidden_error(radar_prediction, radar, seen.radar_mask.hidden),
        }


def targets(batch: Batch, patch: int, norm: Departure) -> tuple[Tensor, Tensor]:
    """Normalised patches of optical and radar, each float32 (b, n, channels · patch²)."""
    optical, radar = patchify(batch.optical, patch), patchify(batch.radar, patch)
    if norm == "paper":
        return normalise(optical), normalise(radar)
    together = normalise(torch.cat((optical, radar), dim=-1))
    return together[..., : optical.shape[-1]], together[..., optical.shape[-1] :]
