"""Swin against numbers of another implementation, and what it must do at sizes that one does not take."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from croma.model.layers import Stack
from croma.model.swin import Swin, _cut, _join


def filled(model: Swin) -> Swin:
    """Noise by a formula, whatever the generator: matrices round 0, vectors round 1."""
    with torch.no_grad():
        for number, (_, parameter) in enumerate(sorted(model.named_parameters())):
            noise = torch.frac(torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) + number) * 43758.5453)
            parameter.copy_(0.3 * noise.view(parameter.shape) + (parameter.ndim == 1))
    return model.eval()


def picture(size: int) -> torch.Tensor:
    y = torch.arange(size)
    rows = torch.sin(0.3 * y[:, None] + 0.1 * y[None])
    return torch.stack((rows, torch.cos(0.05 * y[:, None] * y[None] / 8)))[None]


def test_swin_b_has_its_size() -> None:
    """86,743,224 without a classifier: what timm and transformers have for three bands."""
    with FakeTensorMode():
        model = Swin(3, 128, (2, 2, 18, 2), 7)
        assert sum(p.numel() for p in model.parameters()) == 86_743_224
        twelve = Swin(12, 128, (2, 2, 18, 2), 7)
        assert twelve(torch.rand(1, 12, 224, 224)).shape == (1, 49, 1024)


FOUND = {
    56: (3648.41748, [0.38627139, 1.32194960, 3.03362656, 0.28905588, 1.44569671, 2.91898489]),
    112: (14594.65039, [0.38022903, 1.32327402, 3.03716946, 0.33267629, 1.41585743, 3.02731371]),
}
"""By image size: sum of absolute encodings, and dimensions 5, 25, 45 of cells 0 and 24, of transformers 4.53.3."""


@pytest.mark.parametrize("size", FOUND)
def test_another_implementation_gives_the_same(size: int) -> None:
    with torch.no_grad():
        found = filled(Swin(2, 32, (2, 2), 7))(picture(size))
    total, cells = FOUND[size]
    assert found.shape == (1, (size // 8) ** 2, 64)
    torch.testing.assert_close(found[0, [0, 24], 5::20].flatten(), torch.tensor(cells), atol=2e-6, rtol=0)
    assert math.isclose(float(found.abs().sum()), total, rel_tol=1e-6)


@pytest.mark.parametrize("size", [(40, 40), (72, 56), (24, 16), (16, 120)])
def test_it_takes_any_multiple_of_its_stride(size: tuple[int, int]) -> None:
    model, image = filled(Swin(2, 32, (2, 2), 7)), torch.rand(2, 2, *size)
    found = model(image)
    assert found.shape == (2, size[0] * size[1] // 64, 64)
    assert found.isfinite().all()
    torch.testing.assert_close(model(image[1:])[0], found[1], atol=1e-5, rtol=1e-5)


def test_padding_is_not_attended_to() -> None:
    """With no bias by distance, cells of a constant image are alike, also beside the padding of a 10 x 10 map."""
    model = filled(Swin(2, 32, (2,), 7))
    with torch.no_grad():
        for block in model.stages[0]:
            block.bias.zero_()
        found = model(torch.ones(1, 2, 40, 40))[0]
    torch.testing.assert_close(found, found[:1].expand_as(found), atol=1e-5, rtol=1e-5)


def test_far_cells_meet_through_moved_windows_alone() -> None:
    """One block sees its window; a second, moved one lets a change cross into the windows beside it."""
    model, image = filled(Swin(2, 32, (2,), 7)), torch.rand(1, 2, 84, 84)
    changed, reach = image.clone(), []
    changed[..., :4, :4] += 1
    for blocks in (1, 2):
        model.stages[0] = Stack(list(model.stages[0])[:blocks])
        with torch.no_grad():
            other = (model(changed) - model(image)).abs().sum(-1).view(21, 21) > 1e-6
        reach.append(int(other.any(1).nonzero().max()))
        model = filled(Swin(2, 32, (2,), 7))
    assert reach == [6, 9]


def test_cut_windows_join_again() -> None:
    cells = torch.rand(3, 14, 21, 5)
    assert torch.equal(_join(_cut(cells, 7), 14, 21), cells)
    assert torch.equal(_cut(cells, 7)[1], cells[0, :7, 7:14].flatten(0, 1))
