"""CMID's two measures of a reconstruction: focal L1 of pixels, and focal frequency loss (Jiang et al. 2021).

After NJU-LHRS/official-CMID at 6e1de74, `Pretrain/models/loss_utils.py` and `mim_utils.py`.
"""

import torch
from torch import Tensor

_ALPHA = 0.2
_SEEN = 1e-3
"""Weight of seen pixels in the frequency loss; the rest of them is half prediction, half target."""


def focal_l1(prediction: Tensor, target: Tensor) -> Tensor:
    """|d| (2 sigmoid(0.2 |d|) - 1), number by number: errors weigh more where they are large."""
    error = (prediction - target).abs()
    return error * (2 * torch.sigmoid(_ALPHA * error) - 1)


def hidden_focal_l1(prediction: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Mean focal L1 over the hidden pixels of all images and channels.

    Args:
        prediction: (b, c, height, width).
        target: as `prediction`.
        hidden: (b, 1, height, width), 1 where a pixel is hidden, else 0; equally many 1 in every image.
    """
    error = focal_l1(prediction.float(), target.float()) * hidden
    return error.sum() / (hidden.sum() * prediction.shape[1])


def hidden_frequency(prediction: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Focal frequency loss where seen pixels are mostly taken for right; arguments as in `hidden_focal_l1`.

    Each image is compared by its own spectrum. The published code averages the spectra of a worker's batch first, so
    its loss depends on how a batch is cut; ours is a mean over samples.
    """
    prediction, target = prediction.float(), target.float()
    share = hidden + _SEEN * (1 - hidden)
    mixed = prediction * share + (prediction.detach() + target) / 2 * (1 - share)
    return focal_frequency(mixed, target)


def focal_frequency(prediction: Tensor, target: Tensor, across_batch: bool = False, average: bool = False) -> Tensor:
    """Squared error of spectra, each frequency weighted by the logarithm of its error, largest weight 1.

    Args:
        prediction: (b, c, height, width).
        target: as `prediction`.
        across_batch: the largest weight is sought in the whole batch, as published, not in each image.
        average: compare the mean spectra of the batch, as published, not those of each image.

    Returns:
        Scalar, mean over images, channels and frequencies.
    """
    with torch.autocast(prediction.device.type, enabled=False):
        difference = torch.fft.fft2(prediction.float() - target.float(), norm="ortho")
    if average:
        difference = difference.mean(dim=0, keepdim=True)
    square = difference.real.square() + difference.imag.square()
    weight = torch.log(square.detach().sqrt() + 1)
    largest = weight.max() if across_batch else weight.amax(dim=(1, 2, 3), keepdim=True)
    weighted: Tensor = weight / largest.clamp(min=torch.finfo(weight.dtype).tiny) * square
    return weighted.mean()
