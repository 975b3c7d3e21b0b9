"""Images to patches and back. A patch is a vector in the order channel, row, column; patches run row by row.

Letters in shapes: b batch, c channels, n patches of an image, k of them kept, p side of a patch in pixels.
"""

import torch
from torch import Tensor


def grid_of(image: Tensor, patch: int) -> tuple[int, int]:
    """(rows, columns) of patches in `image` (b, c, height, width).

    Raises:
        ValueError: a side is no multiple of `patch`.
    """
    height, width = image.shape[-2:]
    if height % patch or width % patch:
        raise ValueError(f"the image is {height} × {width} px; both sides are multiples of the patch, {patch} px")
    return height // patch, width // patch


def patchify(image: Tensor, patch: int, keep: Tensor | None = None) -> Tensor:
    """The patches of `image`, or only those named by `keep`.

    Args:
        image: (b, c, height, width).
        patch: side of a patch in pixels.
        keep: int64 (b, k), numbers of patches in each image.

    Returns:
        (b, n or k, c · p · p).
    """
    rows, columns = grid_of(image, patch)
    cut = torch.unflatten(torch.unflatten(image, 3, (columns, patch)), 2, (rows, patch)).permute(0, 2, 4, 1, 3, 5)
    if keep is None:
        return cut.flatten(3).flatten(1, 2)
    sample = torch.arange(len(keep), device=keep.device)[:, None]
    return cut[sample, keep // columns, keep % columns].flatten(2)


def unpatchify(patches: Tensor, grid: tuple[int, int], patch: int) -> Tensor:
    """Images (b, c, height, width) of all their patches (b, n, c · p · p)."""
    cut = torch.unflatten(torch.unflatten(patches, 2, (-1, patch, patch)), 1, grid)
    return cut.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
