"""How pixels become what a network is given: as its weights say, or one of the three ways in print for CROMA's files.

The released files carry no constants, and what is published of them disagrees. Each way is an option by its source.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from croma.batches.augment import augment, prepare
from croma.batches.batch import Batch, RawBatch
from croma.batches.spec import Augmentation
from croma.evaluation.scores import Variant
from croma.sensors import SENTINEL_2_L2A

Constants = Mapping[str, tuple[float, ...]]
"""The fields of `croma.batches.normalise.Normalisation` by name, as weights carry them."""

SSL4EO: Constants = {
    "radar_mean": (-12.54847273, -20.19237134),
    "radar_std": (5.25697717, 5.91150917),
    "optical_mean": (
        *(752.40, 884.30, 1144.16, 1297.47, 1624.91, 2194.64),
        *(2422.21, 2517.76, 2581.65, 2645.52, 2368.51, 1805.06),
    ),
    "optical_std": (
        *(1108.03, 1155.15, 1183.63, 1368.11, 1370.27, 1355.55),
        *(1416.51, 1474.79, 1439.31, 1582.28, 1455.52, 1343.48),
    ),
}
"""Band statistics of the corpus that CROMA learnt from: SSL4EO-S12's `ssl4eo_dataset.py`, Level-2A, decibels."""


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """One way to scale pixels.

    `own`: two deviations either side of the mean, clipped, by the constants that the weights carry. `readme`: the same
    with the constants of the batch at hand, rounded down to 8 bits, as the authors' README has it. `paper`: the same
    with the constants of SSL4EO-S12, 8 bits, after SatMAE's procedure, which the paper names. `torchgeo`: stored units
    as they are.
    """

    variant: Variant = "own"
    constants: Constants
    """Of `own`."""
    batch: int = 0
    """Chips in a batch: what is said of a chip by `readme` depends on its company."""

    def images(self, raw: RawBatch, size: int, turns: Augmentation | None = None) -> Batch:
        """Images of `size` pixels: the middle of each chip, or turned as its key says."""
        constants = self._constants(raw)
        scaling: Any = None if constants is None else SimpleNamespace(**constants)
        batch = prepare(raw, scaling, size) if turns is None else augment(raw, scaling, turns, size)
        if self.variant in ("own", "torchgeo"):
            return batch
        return batch._replace(radar=_eight_bits(batch.radar), optical=_eight_bits(batch.optical))

    @property
    def identity(self) -> list[Any]:
        """All that images depend on, for a fingerprint."""
        if self.variant == "own":
            return [dict(self.constants)]
        return [self.variant, self.batch if self.variant == "readme" else 0]

    def _constants(self, raw: RawBatch) -> Constants | None:
        match self.variant:
            case "own":
                return self.constants
            case "paper":
                return SSL4EO
            case "readme":
                return _of_batch(raw)
            case "torchgeo":
                return None


def _of_batch(raw: RawBatch) -> Constants:
    """Mean and deviation of every band over the whole chips of a batch, what was not measured left out."""
    radar = raw.radar.float()
    found = [_moments(radar[:, band], ~radar[:, band].isnan(), 1) for band in range(radar.shape[1])]
    means, stds = zip(*found, strict=True)
    optical: dict[int, tuple[float, float]] = {}
    for resolution, stored in raw.optical.items():
        for position, band in enumerate(SENTINEL_2_L2A.channels(resolution, stored.shape[1])):
            pixels = stored[:, position].float()
            optical[band] = _moments(pixels, pixels != SENTINEL_2_L2A.nodata, (resolution // 10) ** 2)
    optical_means, optical_stds = zip(*(optical[band] for band in sorted(optical)), strict=True)
    return {"radar_mean": means, "radar_std": stds, "optical_mean": optical_means, "optical_std": optical_stds}


def _moments(pixels: Tensor, valid: Tensor, each: int) -> tuple[float, float]:
    """Mean and unbiased deviation of the valid pixels, each counted as often as it stands in a 10 m image."""
    measured = pixels[valid].double()
    count = len(measured) * each
    if count < 2:
        return 0.0, 0.0
    return float(measured.mean()), float((measured.var(correction=0) * count / (count - 1)).sqrt())


def _eight_bits(images: Tensor) -> Tensor:
    return torch.floor(images * 255) / 255
