"""Pixels as numbers in [0, 1]: two standard deviations either side of the mean of the training split.

This is the published normalisation with constants of the dataset instead of the batch. Needs torch alone.
"""

from typing import Protocol

import torch
from torch import Tensor

Constants = tuple[float, ...]


class Normalisation(Protocol):
    """Band statistics in stored units: decibels, and reflectance × 10,000. `croma.model.weights` keeps them."""

    @property
    def radar_mean(self) -> Constants:
        """VV, VH."""
        ...

    @property
    def radar_std(self) -> Constants:
        """VV, VH."""
        ...

    @property
    def optical_mean(self) -> Constants:
        """Twelve bands in the order of `croma.sensors`."""
        ...

    @property
    def optical_std(self) -> Constants:
        """Twelve bands in the order of `croma.sensors`."""
        ...


def scale(pixels: Tensor, mean: Constants, std: Constants, nodata: Tensor) -> Tensor:
    """clip((x - (mean - 2·std)) / (4·std), 0, 1), and 0 where `nodata` is true.

    A band that never varied (std 0) becomes 0 everywhere: it says nothing.

    `pixels` are float (b, bands, h, w) in stored units, `nodata` is bool of that shape, `mean` and `std` are by band.
    """
    low = pixels.new_tensor([m - 2 * s for m, s in zip(mean, std, strict=True)])[:, None, None]
    gain = pixels.new_tensor([1 / (4 * s) if s > 0 else 0.0 for s in std])[:, None, None]
    return torch.where(nodata, 0.0, ((pixels - low) * gain).clamp(0.0, 1.0))
