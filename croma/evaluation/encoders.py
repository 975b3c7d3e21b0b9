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
from croma.evaluation.modalities import mean, modalities_of, patches, pooled
from croma.evaluation.scores import EncoderName, Pooling
from croma.model import networks
from croma.model.patches import patchify
from croma.model.towers_spec import NetworkSpec
from croma.sensors import MODALITIES, SENTINEL_2_L2A, Modality

Layer = Literal["pooled", "patches"]
"""One vector a chip, or one a patch."""
Precision = Literal["float32", "bfloat16"]
Constants = Mapping[str, tuple[float, ...]]
"""The fields of `croma.batches.normalise.Normalisation` by name, as weights carry them."""


class Encoder(Protocol):
    """Anything that can be probed."""

    name: EncoderName
    standardise: bool
    """Whether distances mean something only after every feature is scaled by the fit split."""
    image_size: int
    """Pixels along a side of what it looks at: the middle of a chip."""
    modalities: tuple[Modality, ...]
    """What it can be asked for."""

    def fingerprint(self, layer: Layer) -> str:
        """Of all that its vectors depend on, apart from the chips."""
        ...

    def encode(self, raw: RawBatch, modalities: Sequence[Modality], layer: Layer) -> dict[Modality, Tensor]:
        """Float32 vectors on the CPU: (b, d), or (b, patches, d)."""
        ...

    def resized(self, image_size: int) -> "Encoder":
        """The same encoder looking at images of another size, a multiple of its patch."""
        ...


class Network:
    """A CROMA network with the normalisation that belongs to its weights."""

    standardise = False

    def __init__(
        self,
        name: EncoderName,
        model: networks.Network,
        constants: Constants,
        weights: str,
        precision: Precision = "float32",
        device: torch.device | None = None,
        image_size: int | None = None,
        pooling: Pooling = "head",
    ) -> None:
        """`weights` is the fingerprint of the weights alone; images are as large as in pretraining unless told."""
        self.name: EncoderName = name
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.eval().to(self.device)
        self.normalisation = SimpleNamespace(**constants)
        self.precision = precision
        self.image_size = image_size or min(model.spec.size)
        self.modalities = modalities_of(model.spec)
        self.pooling = pooling
        self._identity = (weights, dict(constants), precision)

    def fingerprint(self, layer: Layer) -> str:  # noqa: ARG002 a network's layers are told apart by name
        """Of weights, constants, precision and image size."""
        weights, constants, precision = self._identity
        return digest([weights, constants, self.image_size, precision, self.pooling])

    def resized(self, image_size: int) -> "Network":
        """The same network, sharing its weights."""
        weights, constants, precision = self._identity
        return Network(self.name, self.model, constants, weights, precision, self.device, image_size, self.pooling)

    @torch.no_grad()
    def encode(self, raw: RawBatch, modalities: Sequence[Modality], layer: Layer) -> dict[Modality, Tensor]:
        """One vector an image, pooled as the encoder was told, or the encodings of all patches, row by row."""
        raw = RawBatch(
            radar=raw.radar.to(self.device),
            optical={resolution: plane.to(self.device) for resolution, plane in raw.optical.items()},
            keys=raw.keys.to(self.device),
            ids=raw.ids,
        )
        batch = prepare(raw, self.normalisation, self.image_size)
        whole = pooled if self.pooling == "head" else mean
        vectors = whole if layer == "pooled" else patches
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            if "joint" in modalities:
                found = self.model(radar=batch.radar, optical=batch.optical)
                return {each: vectors(found, each).float().cpu() for each in modalities}
            images = {"radar": batch.radar, "optical": batch.optical}
            return {each: vectors(self.model(**{each: images[each]}), each).float().cpu() for each in modalities}


def untrained(
    spec: NetworkSpec,
    constants: Constants,
    precision: Precision,
    device: torch.device | None = None,
    image_size: int | None = None,
    pooling: Pooling = "head",
) -> Network:
    """The architecture of `spec` with its initial weights, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = networks.build_network(spec)
    weights = digest(["untrained", asdict(spec), torch.__version__])
    return Network("untrained", model, constants, weights, precision, device, image_size, pooling)


class BandStatistics:
    """Mean and standard deviation of each band: 4 numbers of radar, 24 of optical, 28 of both.

    Of whole chips over their valid pixels in stored units; of patches over the normalised image that a network sees.
    """

    name: EncoderName = "band-statistics"
    standardise = True
    modalities = MODALITIES

    def __init__(self, constants: Constants, image_size: int, patch: int) -> None:
        self.constants, self.image_size, self.patch = dict(constants), image_size, patch

    def fingerprint(self, layer: Layer) -> str:
        """Whole chips are described alike whatever network they are compared with."""
        if layer == "pooled":
            return "band-statistics-1"
        return digest(["band-statistics-1", self.constants, self.image_size, self.patch])

    def resized(self, image_size: int) -> "BandStatistics":
        """The same statistics of patches of another image."""
        return BandStatistics(self.constants, image_size, self.patch)

    def encode(self, raw: RawBatch, modalities: Sequence[Modality], layer: Layer) -> dict[Modality, Tensor]:
        """Vectors in the order radar, optical; each band's mean, then its deviation. No valid pixel gives 0."""
        radar, optical = _of_chips(raw) if layer == "pooled" else self._of_patches(raw)
        parts: dict[Modality, Tensor] = {
            "radar": radar,
            "optical": optical,
            "joint": torch.cat([radar, optical], dim=-1),
        }
        return {modality: parts[modality] for modality in modalities}

    def _of_patches(self, raw: RawBatch) -> tuple[Tensor, Tensor]:
        batch = prepare(raw, SimpleNamespace(**self.constants), self.image_size)

        def moments(images: Tensor) -> Tensor:
            pixels = torch.unflatten(patchify(images, self.patch), 2, (images.shape[1], -1))
            return torch.stack([pixels.mean(3), pixels.std(3, correction=0)], dim=3).flatten(2)

        return moments(batch.radar), moments(batch.optical)


def _of_chips(raw: RawBatch) -> tuple[Tensor, Tensor]:
    radar = raw.radar.float()
    columns: list[Tensor] = [radar.new_zeros(0)] * len(SENTINEL_2_L2A.bands)
    for resolution, stored in raw.optical.items():
        pixels = stored.float()
        moments = _moments(pixels, pixels != SENTINEL_2_L2A.nodata)
        for position, band in enumerate(SENTINEL_2_L2A.channels(resolution, stored.shape[1])):
            columns[band] = moments[:, position]
    return _moments(radar, ~radar.isnan()).flatten(1), torch.stack(columns, dim=1).flatten(1)


def _moments(pixels: Tensor, valid: Tensor) -> Tensor:
    """(b, bands, 2): mean and standard deviation over the pixels that are valid."""
    count = valid.sum((2, 3)).clamp(min=1)
    mean = torch.where(valid, pixels, 0.0).sum((2, 3)) / count
    gap = torch.where(valid, pixels - mean[:, :, None, None], 0.0)
    return torch.stack([mean, (gap.square().sum((2, 3)) / count).sqrt()], dim=2)
