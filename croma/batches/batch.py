"""The two bundles of tensors: as they are stored, and as a model takes them. Needs torch alone."""

from typing import NamedTuple

from torch import Tensor


class RawBatch(NamedTuple):
    """Chips as stored, on their way to the device."""

    radar: Tensor
    """float16 decibels, (b, 2, size, size); NaN is nodata."""
    optical: dict[int, Tensor]
    """Reflectance × 10,000 as uint16 by native resolution in metres: (b, bands, size·10/res, size·10/res); or all
    twelve bands at 10 m.

    0 is nodata.
    """
    keys: Tensor
    """int64 (b,). One random key a sample, a pure function of (seed, dataset version, step, position in global batch).

    Every draw made for a sample (crop, flip, mask) is a hash of its key, so no draw depends on how many workers,
    micro-batches or restarts there are.
    """
    ids: tuple[str, ...]
    """Chip ids, length b."""


class Batch(NamedTuple):
    """Normalised images as a model takes them."""

    radar: Tensor
    """(b, 2, height, width), float."""
    optical: Tensor
    """(b, 12, height, width), float, bands in the order of `croma.sensors`."""
    keys: Tensor
    """int64 (b,), as in `RawBatch`."""
    ids: tuple[str, ...] = ()
