import pytest
import torch

from croma.model.patches import patchify, unpatchify


def test_patches_run_row_by_row_and_their_pixels_channel_first() -> None:
    image = torch.arange(2 * 3 * 4 * 6).view(2, 3, 4, 6)
    patches = patchify(image, 2)
    assert patches.shape == (2, 6, 12)
    for row in range(2):
        for column in range(3):
            window = image[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert torch.equal(patches[:, 3 * row + column], window.reshape(2, 12))


def test_back_and_forth() -> None:
    image = torch.rand(2, 5, 12, 8)
    assert torch.equal(unpatchify(patchify(image, 4), (3, 2), 4), image)


def test_kept_patches_are_those_of_the_whole() -> None:
    image = torch.rand(3, 2, 12, 20)
    keep = torch.stack([torch.randperm(15)[:6] for _ in range(3)])
    whole = patchify(image, 4)
    assert torch.equal(patchify(image, 4, keep), torch.stack([w[k] for w, k in zip(whole, keep, strict=True)]))


def test_a_side_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="12 × 18 px; both sides are multiples of the patch, 4 px"):
        patchify(torch.rand(1, 1, 12, 18), 4)
