"""The two bundles of tensors: as they are stored, and as a model takes them. Needs torch alone."""

from collections.abc import Callable
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
    stored: Tensor | None = None
    """uint8 (b, bytes of a chip): where radar and optical are views of whole chips, those; they move in one copy."""

    def moved(self, move: Callable[[Tensor], Tensor]) -> "RawBatch":
        """The same batch with every tensor moved by `move`; views become views of what was moved."""
        if self.stored is None:
            optical = {resolution: move(bands) for resolution, bands in self.optical.items()}
            return RawBatch(move(self.radar), optical, move(self.keys), self.ids)
        stored = move(self.stored)
        optical = {resolution: _view(stored, bands) for resolution, bands in self.optical.items()}
        return RawBatch(_view(stored, self.radar), optical, move(self.keys), self.ids, stored)


def _view(stored: Tensor, like: Tensor) -> Tensor:
    """Of `stored` what `like` is of the tensor that it is a view of."""
    return stored.view(like.dtype).as_strided(like.shape, like.stride(), like.storage_offset())


class Batch(NamedTuple):
    """Normalised images as a model takes them."""

    radar: Tensor
    """(b, 2, height, width), float."""
    optical: Tensor
    """(b, 12, height, width), float, bands in the order of `croma.sensors`."""
    keys: Tensor
    """int64 (b,), as in `RawBatch`."""
    ids: tuple[str, ...] = ()
