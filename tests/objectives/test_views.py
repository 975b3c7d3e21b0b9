import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from croma.objectives.views import change_bands, draw_window, look

SIZE = (48, 72)


@settings(max_examples=25, deadline=None)
@given(key=st.integers(-(2**63), 2**63 - 1), view=st.integers(0, 3), smallest=st.floats(0.05, 1.0))
def test_a_cell_stands_where_its_pixels_come_from(key: int, view: int, smallest: float) -> None:
    """An image whose pixels hold their own coordinates, seen through any crop and flip, shows each cell's place."""
    ys, xs = torch.meshgrid(torch.arange(SIZE[0]) + 0.5, torch.arange(SIZE[1]) + 0.5, indexing="ij")
    window = draw_window(torch.tensor([key]), view, SIZE, smallest)
    seen = look(torch.stack((ys, xs))[None], window)[0]
    places = window.places(4, 6)[0]
    cells = seen.unflatten(2, (6, 12)).unflatten(1, (4, 12))[:, 1:-1].mean(dim=(2, 4))
    inner = slice(1, 3), slice(1, 5)  # at the very edge, half a pixel is held at the border
    found = seen.unflatten(2, (6, 12)).unflatten(1, (4, 12)).mean(dim=(2, 4))
    assert cells.shape == (2, 2, 6)
    torch.testing.assert_close(found[:, *inner], places.permute(2, 0, 1)[:, *inner], atol=0.02, rtol=0)


@settings(max_examples=25, deadline=None)
@given(key=st.integers(-(2**63), 2**63 - 1), smallest=st.floats(0.05, 1.0))
def test_a_window_lies_in_the_image_and_is_as_large_as_asked(key: int, smallest: float) -> None:
    window = draw_window(torch.tensor([key]), 0, SIZE, smallest)
    assert float(window.top) >= 0
    assert float(window.left) >= 0
    assert float(window.top + window.height) <= SIZE[0] + 1e-3
    assert float(window.left + window.width) <= SIZE[1] + 1e-3
    share = float(window.height * window.width) / (SIZE[0] * SIZE[1])
    assert smallest * 0.85 - 1e-3 <= share <= 1 + 1e-6


def test_the_whole_image_unturned_is_itself() -> None:
    window = draw_window(torch.arange(200), 0, SIZE, 1.0)
    whole = (window.height >= SIZE[0] - 1e-3) & (window.width >= SIZE[1] - 1e-3) & ~window.flip & ~window.mirror
    assert not whole.all()
    image = torch.rand(1, 3, *SIZE)
    plain = window._replace(top=torch.zeros(1), left=torch.zeros(1), height=torch.tensor([48.0]))
    plain = plain._replace(width=torch.tensor([72.0]), flip=torch.tensor([False]), mirror=torch.tensor([False]))
    torch.testing.assert_close(look(image, plain), image, atol=1e-5, rtol=0)
    turned = plain._replace(flip=torch.tensor([True]), mirror=torch.tensor([True]))
    torch.testing.assert_close(look(image, turned), image.flip(2, 3), atol=1e-5, rtol=0)


def test_views_of_a_sample_differ_and_repeat() -> None:
    keys = torch.arange(5)
    one, other = draw_window(keys, 0, SIZE, 0.3), draw_window(keys, 1, SIZE, 0.3)
    assert not torch.equal(one.top, other.top)
    assert torch.equal(one.top, draw_window(keys, 0, SIZE, 0.3).top)
    image = torch.rand(5, 12, *SIZE)
    assert torch.equal(change_bands(image, keys, 1), change_bands(image, keys, 1))
    alone = change_bands(image[2:3], keys[2:3], 1)
    torch.testing.assert_close(alone, change_bands(image, keys, 1)[2:3])


def test_bands_change_together_more_than_apart() -> None:
    image = torch.rand(500, 12, 16, 16)
    changed = change_bands(image, torch.arange(500), 0)
    blank = changed.std(dim=(2, 3)) < 1e-6
    assert float(blank.float().mean()) == pytest.approx(0.1, abs=0.02)
    shift = (changed - image).mean(dim=(2, 3)).masked_fill(blank, torch.nan)
    common = shift.nanmean(dim=1, keepdim=True)
    assert float(common.abs().max()) <= 0.2 + 0.05
    assert float(common.std()) == pytest.approx(0.4 / 12**0.5, rel=0.1)  # of a uniform draw of ±0.2
    apart = (shift - common)[~blank]
    assert float(apart.abs().max()) <= 0.1
    assert float(apart.std()) == pytest.approx(0.1 / 12**0.5, rel=0.1)
