"""CMID's two measures of a reconstruction: focal L1 of pixels, and focal frequency loss (Jiang et al. 2021).

After NJU-LHRS/official-CMID at 6e1de74, `Pretrain/models/loss_utils.py` and `mim_utils.py`.
"""

import torch
from torch import Tensor

_ALPHA = 0.2
_SEEN = 1e-3
"""Weight of seen pixels in the frequency loss; the rest of them is half prediction, half target."""


def focal_l1(prediction: Tensor, target: Tensor) -> Tensor:
    """|d| (2 sigmoid(0.2 |d|) - 1) = d tanh(0.1 d), number by number: errors weigh more where they are large."""
    error = prediction - target
    return error * torch.tanh(error * (_ALPHA / 2))


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
    error = prediction.float() - target.float()
    share = hidden + _SEEN * (1 - hidden)
    return _focal_frequency(torch.lerp(error.detach() / 2, error, share.expand_as(error)))


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
    return _focal_frequency(prediction.float() - target.float(), across_batch, average)


def _focal_frequency(error: Tensor, across_batch: bool = False, average: bool = False) -> Tensor:
    """Of the images of errors. Spectra of real images are symmetric: one half is enough, its inner columns twice.

    Weights receive no gradient, so the loss is a quadratic form of the errors. Its slope costs one inverse transform,
    where autograd would go back through the whole complex spectrum.
    """
    n, channels, height, width = error.shape
    with torch.no_grad(), torch.autocast(error.device.type, enabled=False):
        half = torch.fft.rfft2(error, norm="ortho")
        if average:
            half = half.mean(dim=0, keepdim=True)
        real, imaginary = half.real, half.imag
        weight = (real * real).addcmul_(imaginary, imaginary).sqrt_().log1p_()
        largest = weight.max() if across_batch else weight.amax(dim=(1, 2, 3), keepdim=True)
        weight *= 1 / (largest.clamp(min=torch.finfo(weight.dtype).tiny) * (len(half) * channels * height * width))
        torch.view_as_real(half).mul_(weight[..., None])
        slope = torch.fft.irfft2(half, s=(height, width), norm="ortho").mul_(2 * len(half) / n)
    linear: Tensor = (error * slope).sum()  # of a quadratic form twice its value
    loss: Tensor = linear - linear.detach() / 2
    return loss
