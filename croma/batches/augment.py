"""From stored chips to normalised images, on the device, a whole batch at once.

Every sample is cut to its crop as it is stored, normalised at native resolution, then turned and resized by gathering
the pixels that are needed: bands of 20 and 60 m are repeated onto the 10 m grid (nearest, so no pixel is invented), the
crop of that grid is resized bilinearly with half-pixel centres, as the published recipe resizes crops of 264 px chips.
Crops shrink by at most a factor of 1.5 there, so no anti-aliasing is applied. A sample's result depends on its pixels
and its key, on nothing else.

Nodata becomes 0 after normalisation, the lowest value, and is interpolated like any other pixel.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from croma.batches import draws
from croma.batches.batch import Batch, RawBatch
from croma.batches.normalise import Normalisation, scale
from croma.batches.spec import Augmentation
from croma.sensors import SENTINEL_2_L2A


class Window(NamedTuple):
    """The square of each chip that becomes an image. All tensors (b,)."""

    top: Tensor
    """int64, pixels of 10 m."""
    left: Tensor
    side: Tensor
    """int64, pixels of 10 m."""
    flip: Tensor
    """bool: upside down."""
    mirror: Tensor
    """bool: left for right."""
    transpose: Tensor
    """bool: rows for columns, after `flip` and `mirror`."""


def draw_window(keys: Tensor, chip: int, augmentation: Augmentation) -> Window:
    """The windows that belong to `keys`, int64 (b,), in chips of `chip` pixels of 10 m along a side.

    Raises:
        ValueError: the largest crop does not fit into a chip.
    """
    low, high = augmentation.crop
    if high > chip:
        raise ValueError(f"crop is up to {high} px: the chips of this dataset are {chip} px")
    size, vertical, horizontal = draws.uniform(keys, 3, draws.CROP).double().unbind(1)
    side = low + (size * (high - low + 1)).long()
    room = (chip - side + 1).double()
    turn = draws.integers(keys, 8 if augmentation.turns else 1, draws.TURN)[:, 0]
    return Window(
        top=(vertical * room).long(),
        left=(horizontal * room).long(),
        side=side,
        flip=(turn & 1) == 1,
        mirror=(turn & 2) == 2,
        transpose=(turn & 4) == 4,
    )


def _whole_window(keys: Tensor, chip: int) -> Window:
    """Chips of `chip` pixels as they lie."""
    start, no = torch.zeros_like(keys), torch.zeros_like(keys, dtype=torch.bool)
    return Window(top=start, left=start, side=torch.full_like(keys, chip), flip=no, mirror=no, transpose=no)


def augment(raw: RawBatch, normalisation: Normalisation | None, augmentation: Augmentation, image_size: int) -> Batch:
    """Images for training: normalised, cropped, turned and resized to `image_size` pixels as their keys say."""
    window = draw_window(raw.keys, raw.radar.shape[-1], augmentation)
    return _render(raw, normalisation, window, image_size, augmentation.crop[1])


def prepare(raw: RawBatch, normalisation: Normalisation | None, image_size: int) -> Batch:
    """Images for evaluation: normalised, the middle `image_size` pixels of each chip (small chips are enlarged).

    Without a normalisation, stored units, and 0 where nothing was measured.
    """
    side = raw.radar.shape[-1]
    if image_size <= side:
        return _cut(raw, normalisation, image_size)
    return _render(raw, normalisation, _whole_window(raw.keys, side), image_size, side)


def _cut(raw: RawBatch, normalisation: Normalisation | None, size: int) -> Batch:
    """The middle of each chip as `_render` gives it, without looking for every pixel: nothing is turned or resized."""
    start = (raw.radar.shape[-1] - size) // 2
    planes: list[Tensor] = [raw.radar] * len(SENTINEL_2_L2A.bands)
    for resolution, stored in raw.optical.items():
        factor, bands = resolution // 10, SENTINEL_2_L2A.channels(resolution, stored.shape[1])
        held = slice(start // factor, (start + size - 1) // factor + 1)
        pixels = _scaled_optical(stored[:, :, held, held], normalisation, bands)
        pixels = pixels.repeat_interleave(factor, 2).repeat_interleave(factor, 3) if factor > 1 else pixels
        inside = slice(start % factor, start % factor + size)
        for position, band in enumerate(bands):
            planes[band] = pixels[:, position, inside, inside]
    held = slice(start, start + size)
    radar = _scaled_radar(raw.radar[:, :, held, held], normalisation)
    return Batch(radar=radar, optical=torch.stack(planes, dim=1), keys=raw.keys, ids=raw.ids)


def _render(raw: RawBatch, normalisation: Normalisation | None, window: Window, size: int, largest: int) -> Batch:
    """Images of `size` pixels; no window is larger than `largest`."""
    return Batch(
        radar=_turn(_radar(raw, normalisation, window, size, largest), window),
        optical=_turn(_optical(raw, normalisation, window, size, largest), window),
        keys=raw.keys,
        ids=raw.ids,
    )


def _radar(raw: RawBatch, normalisation: Normalisation | None, window: Window, size: int, largest: int) -> Tensor:
    """(b, 2, size, size), not turned yet."""
    crop = _crop(raw.radar, window, 1, largest)
    return _sample(crop._replace(pixels=_scaled_radar(crop.pixels, normalisation)), window, size)


def _optical(raw: RawBatch, normalisation: Normalisation | None, window: Window, size: int, largest: int) -> Tensor:
    """(b, 12, size, size) from the planes by resolution, not turned yet."""
    planes: list[Tensor] = [raw.radar] * len(SENTINEL_2_L2A.bands)
    for resolution, stored in raw.optical.items():
        bands = SENTINEL_2_L2A.channels(resolution, stored.shape[1])
        crop = _crop(stored, window, resolution // 10, largest)
        sampled = _sample(crop._replace(pixels=_scaled_optical(crop.pixels, normalisation, bands)), window, size)
        for position, band in enumerate(bands):
            planes[band] = sampled[:, position]
    return torch.stack(planes, dim=1)


def _scaled_radar(stored: Tensor, normalisation: Normalisation | None) -> Tensor:
    decibels = stored.float()
    if normalisation is None:
        return decibels.nan_to_num()
    return scale(decibels, normalisation.radar_mean, normalisation.radar_std, decibels.isnan())


def _scaled_optical(stored: Tensor, normalisation: Normalisation | None, bands: Sequence[int]) -> Tensor:
    pixels = stored.float()
    if normalisation is None:
        return pixels
    mean = tuple(normalisation.optical_mean[band] for band in bands)
    std = tuple(normalisation.optical_std[band] for band in bands)
    return scale(pixels, mean, std, pixels == SENTINEL_2_L2A.nodata)


class Crop(NamedTuple):
    """The part of every chip that holds its window, in pixels that each cover `factor` pixels of 10 m."""

    pixels: Tensor
    """(b, bands, n, n)."""
    top: Tensor
    """int64 (b,): where it begins in the chip, in its own pixels."""
    left: Tensor
    factor: int


def _crop(stored: Tensor, window: Window, factor: int, largest: int) -> Crop:
    """Squares of equal size around windows of at most `largest` pixels of 10 m."""
    b, bands, height, width = stored.shape
    n = min(height, width, (largest - 1) // factor + 2)
    top = (window.top // factor).clamp(max=height - n)
    left = (window.left // factor).clamp(max=width - n)
    if n == height == width:
        return Crop(stored, top, left, factor)
    line = torch.arange(n, device=stored.device)
    places = (top[:, None] + line)[:, :, None] * width + (left[:, None] + line)[:, None, :]
    # Gathering moves pixels as they are, whatever 16 bits mean; torch gathers int16 everywhere, uint16 not.
    flat = stored.view(torch.int16).flatten(2) if stored.element_size() == 2 else stored.flatten(2)
    found = flat.gather(2, places.view(b, 1, n * n).expand(b, bands, n * n)).view(b, bands, n, n)
    return Crop(found.view(stored.dtype), top, left, factor)


class Positions(NamedTuple):
    """For every output line, the two input lines it lies between. All (b, size)."""

    lower: Tensor
    """int64, in pixels of 10 m."""
    upper: Tensor
    weight: Tensor
    """float, of the upper line."""


def _positions(start: Tensor, side: Tensor, size: int, backwards: Tensor) -> Positions:
    """Half-pixel centres of `size` output pixels over `side` input pixels from `start`, clamped to the crop."""
    output = torch.arange(size, device=start.device)
    output = torch.where(backwards[:, None], size - 1 - output, output)
    # ((2i + 1) · side - size) / 2·size in whole numbers: exact, so that a crop of the image's own size is a plain copy.
    doubled = ((2 * output + 1) * side[:, None] - size).clamp(min=0)
    whole = doubled // (2 * size)
    weight = (doubled - whole * (2 * size)).float() / (2 * size)
    last = side[:, None] - 1
    return Positions(start[:, None] + whole.clamp(max=last), start[:, None] + (whole + 1).clamp(max=last), weight)


def _sample(crop: Crop, window: Window, size: int) -> Tensor:
    """Bilinear samples (b, bands, size, size) of the windows."""
    rows = _positions(window.top, window.side, size, window.flip)
    columns = _positions(window.left, window.side, size, window.mirror)
    lines = _between(crop.pixels, rows, crop.top, crop.factor, 2)
    return _between(lines, columns, crop.left, crop.factor, 3)


def _between(pixels: Tensor, positions: Positions, first: Tensor, factor: int, dim: int) -> Tensor:
    """Linear interpolation along `dim`, which begins `first` pixels into the chip."""
    shape = [-1, 1, 1, 1]
    shape[dim] = positions.lower.shape[1]
    wanted = list(pixels.shape)
    wanted[dim] = positions.lower.shape[1]
    lower, upper = (
        pixels.gather(dim, (places // factor - first[:, None]).view(shape).expand(wanted))
        for places in (positions.lower, positions.upper)
    )
    return torch.lerp(lower, upper, positions.weight.view(shape))


def _turn(images: Tensor, window: Window) -> Tensor:
    return torch.where(window.transpose[:, None, None, None], images.transpose(2, 3), images)
