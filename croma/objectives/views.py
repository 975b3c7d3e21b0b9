"""Two looks at one image: a crop resized to the image's size, turned, and, for one of the two, changed in its bands.

Where every output pixel comes from is kept, so that cells of two views can be matched by the ground they show.
Every draw is a hash of the sample's key. Letters in shapes: b batch, c channels.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from croma.batches.draws import uniform

GEOMETRY_STREAM, BANDS_STREAM = 111, 121
"""First streams of `croma.batches.draws.uniform`; view v draws from stream + v."""


class Window(NamedTuple):
    """The part of each image that becomes a view. All tensors (b,)."""

    top: Tensor
    """float32, pixels of the image."""
    left: Tensor
    height: Tensor
    width: Tensor
    flip: Tensor
    """bool: upside down."""
    mirror: Tensor
    """bool: left for right."""

    def places(self, rows: int, columns: int) -> Tensor:
        """float32 (b, rows, columns, 2): y and x, in the image's pixels, of the centres of cells laid over the view."""
        down = _fractions(rows, self.flip)
        right = _fractions(columns, self.mirror)
        y = self.top[:, None] + down * self.height[:, None]
        x = self.left[:, None] + right * self.width[:, None]
        return torch.stack((y[:, :, None].expand(-1, -1, columns), x[:, None].expand(-1, rows, -1)), dim=-1)


def draw_window(keys: Tensor, view: int, size: tuple[int, int], smallest: float) -> Window:
    """Crops of a share of the area from `smallest` to 1, of a shape from 3:4 to 4:3, anywhere; flips, half of the time.

    Args:
        keys: int64 (b,).
        view: tells views of a sample apart.
        size: (height, width) of the images in pixels.
        smallest: share of the area.
    """
    height, width = size
    area, shape, down, right, flip, mirror = uniform(keys, 6, GEOMETRY_STREAM + view).unbind(1)
    share = (smallest + (1 - smallest) * area).sqrt()
    stretch = torch.exp((2 * shape - 1) * math.log(4 / 3) / 2)
    tall = (height * share * stretch).clamp(max=height)
    wide = (width * share / stretch).clamp(max=width)
    return Window(
        top=down * (height - tall),
        left=right * (width - wide),
        height=tall,
        width=wide,
        flip=flip < 0.5,
        mirror=mirror < 0.5,
    )


def look(image: Tensor, window: Window) -> Tensor:
    """The windows of images (b, c, height, width), resized to the images' size: bilinear, half-pixel centres."""
    height, width = image.shape[-2:]
    y, x = window.places(height, width).unbind(-1)
    grid = torch.stack((2 * x / width - 1, 2 * y / height - 1), dim=-1)
    with torch.autocast(image.device.type, enabled=False):
        return functional.grid_sample(image.float(), grid, padding_mode="border", align_corners=False)


def change_bands(image: Tensor, keys: Tensor, view: int) -> Tensor:
    """Images (b, c, height, width) with contrast and brightness jittered, blurred a little, and some bands blanked.

    What colour jitter of ±40 % and grey-scale do to RGB, for any number of bands: contrast within ±40 % and brightness
    within ±0.2 for all bands of an image alike, a quarter of that band by band, a mean filter of 3 × 3 mixed in by up
    to 1, and every tenth band at its mean. Our choice. Ratios of bands mostly stay, for they tell what land cover is.
    """
    count = image.shape[1]
    draws = uniform(keys, 3 + 3 * count, BANDS_STREAM + view)
    contrast, brightness, blur = draws[:, :3, None, None, None].unbind(1)
    band_contrast, band_brightness, dropped = draws[:, 3:].view(-1, 3, count, 1, 1).unbind(1)
    mean = image.mean(dim=(2, 3), keepdim=True)
    smooth = functional.avg_pool2d(functional.pad(image, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    mixed = torch.lerp(image, smooth, blur)
    gain = 1 + 0.4 * (2 * contrast - 1) + 0.1 * (2 * band_contrast - 1)
    offset = 0.2 * (2 * brightness - 1) + 0.05 * (2 * band_brightness - 1)
    return torch.where(dropped < 0.1, mean, mean + (mixed - mean) * gain + offset)


def _fractions(count: int, reverse: Tensor) -> Tensor:
    """(b, count): centres of `count` equal parts of a side, as shares of it, from the end where `reverse` is true."""
    centres = (torch.arange(count, device=reverse.device, dtype=torch.float32) + 0.5) / count
    return torch.where(reverse[:, None], 1 - centres, centres)
