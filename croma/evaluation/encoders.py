"""What turns chips into vectors: the trained network, the same network untrained, and plain band statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import Literal, Protocol

import torch
from torch import Tensor

from croma.batches.augment import prepare
from croma.batches.batch import RawBatch
from croma.document import digest
from croma.evaluation.scores import EncoderName, Modality
from croma.model.croma import Croma
from croma.model.spec import ModelSpec
from croma.sensors import SENTINEL_2_L2A

Layer = Literal["pooled", "patches"]
"""One vector a chip, or one a patch."""
Precision = Literal["float32", "bfloat16"]
Constants = Mapping[str, tuple[float, ...]]
"""The fields of `croma.batches.normalise.Normalisation` by name, as weights carry them."""


class Encoder(Protocol):
    """Anything that can be probed."""

    name: EncoderName
    fingerprint: str
    """Of all that its vectors depend on, apart from the chips."""
    standardise: bool
    """Whether distances mean something only after every feature is scaled by the fit split."""

    def encode(self, raw: RawBatch, modalities: Sequence[Modality], layer: Layer) -> dict[Modality, Tensor]:
        """Float32 vectors on the CPU: (b, d), or (b, patches, d)."""
        ...


class Network:
    """A CROMA network with the normalisation that belongs to its weights."""

    standardise = False

    def __init__(
        self,
        name: EncoderName,
        model: Croma,
        constants: Constants,
        weights: str,
        precision: Precision = "float32",
        device: torch.device | None = None,
    ) -> None:
        """`weights` is the fingerprint of the weights alone."""
        self.name: EncoderName = name
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.eval().to(self.device)
        self.normalisation = SimpleNamespace(**constants)
        self.precision = precision
        self.image_size = min(model.spec.size)
        self.fingerprint = digest([weights, dict(constants), self.image_size, precision])

    @torch.no_grad()
    def encode(self, raw: RawBatch, modalities: Sequence[Modality], layer: Layer) -> dict[Modality, Tensor]:
        """The pooled vectors that the published protocols use, or the encodings of all patches, row by row."""
        raw = RawBatch(
            radar=raw.radar.to(self.device),
            optical={resolution: plane.to(self.device) for resolution, plane in raw.optical.items()},
            keys=raw.keys.to(self.device),
            ids=raw.ids,
        )
        batch = prepare(raw, self.normalisation, self.image_size)
        needs_both = "joint" in modalities
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            found = self.model(
                radar=batch.radar if needs_both or "radar" in modalities else None,
                optical=batch.optical if needs_both or "optical" in modalities else None,
            )
        suffix = "_gap" if layer == "pooled" else ""
        return {modality: getattr(found, f"{modality}{suffix}").float().cpu() for modality in modalities}


def untrained(
    spec: ModelSpec, constants: Constants, precision: Precision, device: torch.device | None = None
) -> Network:
    """The architecture of `spec` with its initial weights, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Croma(spec)
    weights = digest(["untrained", asdict(spec), torch.__version__])
    return Network("untrained", model, constants, weights, precision, device)


class BandStatistics:
    """Mean and standard deviation of each band over its valid pixels: 4 numbers of radar, 24 of optical, 28 of both."""

    name: EncoderName = "band-statistics"
    fingerprint = "band-statistics-1"
    standardise = True

    def encode(self, raw: RawBatch, modalities: Sequence[Modality], layer: Layer) -> dict[Modality, Tensor]:
        """One vector a chip, in stored units; a band without a valid pixel gives 0.

        Raises:
            ValueError: vectors of patches are asked for.
        """
        if layer != "pooled":
            raise ValueError("band statistics describe whole chips; they have no patches")
        radar = raw.radar.float()
        radar_moments = _moments(radar, ~radar.isnan())
        columns: list[Tensor] = [radar.new_zeros(0)] * len(SENTINEL_2_L2A.bands)
        for resolution, stored in raw.optical.items():
            pixels = stored.float()
            moments = _moments(pixels, pixels != SENTINEL_2_L2A.nodata)
            for position, band in enumerate(SENTINEL_2_L2A.at(resolution)):
                columns[band] = moments[:, position]
        optical_moments = torch.stack(columns, dim=1)
        parts: dict[Modality, list[Tensor]] = {
            "radar": [radar_moments],
            "optical": [optical_moments],
            "joint": [radar_moments, optical_moments],
        }
        return {modality: torch.cat(parts[modality], dim=1).flatten(1).cpu() for modality in modalities}


def _moments(pixels: Tensor, valid: Tensor) -> Tensor:
    """(b, bands, 2): mean and standard deviation over the pixels that are valid."""
    count = valid.sum((2, 3)).clamp(min=1)
    mean = torch.where(valid, pixels, 0.0).sum((2, 3)) / count
    gap = torch.where(valid, pixels - mean[:, :, None, None], 0.0)
    return torch.stack([mean, (gap.square().sum((2, 3)) / count).sqrt()], dim=2)
