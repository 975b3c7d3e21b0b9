from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from croma.batches.augment import Window, augment, draw_window, prepare
from croma.batches.batch import RawBatch
from croma.batches.normalise import Normalisation, scale
from croma.batches.spec import Augmentation, Reading
from croma.sensors import SENTINEL_2_L2A

MakeRaw = Callable[..., RawBatch]
CROPS = Augmentation(crop=(20, 48))


def slowly(raw: RawBatch, row: int, constants: Normalisation, window: Window, size: int) -> Tensor:
    """One image (14, size, size) by other means: repeat, normalise, slice, interpolate, flip."""
    optical = torch.empty(12, *raw.radar.shape[-2:])
    for resolution, bands in raw.optical.items():
        upsampled = np.kron(bands[row].numpy(), np.ones((1, resolution // 10, resolution // 10)))
        optical[list(SENTINEL_2_L2A.at(resolution))] = torch.from_numpy(upsampled).float()
    pixels = torch.cat([optical, raw.radar[row].float()])
    mean = torch.tensor([*constants.optical_mean, *constants.radar_mean])[:, None, None]
    std = torch.tensor([*constants.optical_std, *constants.radar_std])[:, None, None]
    scaled = ((pixels - (mean - 2 * std)) / (4 * std)).clip(0, 1)
    top, left, side = (int(value[row]) for value in (window.top, window.left, window.side))
    cut = scaled[:, top : top + side, left : left + side]
    image = functional.interpolate(cut[None].double(), (size, size), mode="bilinear")[0].float()
    image = image.flip(1) if window.flip[row] else image
    image = image.flip(2) if window.mirror[row] else image
    return image.transpose(1, 2) if window.transpose[row] else image


def test_equals_the_slow_way(make_raw: MakeRaw, constants: Normalisation) -> None:
    raw = make_raw(32, 48)
    batch = augment(raw, constants, CROPS, 24)
    window = draw_window(raw.keys, 48, CROPS)
    for row in range(32):
        expected = slowly(raw, row, constants, window, 24)
        torch.testing.assert_close(torch.cat([batch.optical[row], batch.radar[row]]), expected, atol=2e-6, rtol=0)


def test_bands_stored_at_10_m_give_the_image_of_native_ones(make_raw: MakeRaw, constants: Normalisation) -> None:
    raw = make_raw(6, 48)
    whole = np.zeros((6, 12, 48, 48), np.uint16)
    for resolution, bands in raw.optical.items():
        fine = np.kron(bands.numpy(), np.ones((1, 1, resolution // 10, resolution // 10), np.uint16))
        whole[:, list(SENTINEL_2_L2A.at(resolution))] = fine
    all_fine = raw._replace(optical={10: torch.from_numpy(whole)})
    native, stored = (augment(each, constants, CROPS, 24) for each in (raw, all_fine))
    torch.testing.assert_close(stored.optical, native.optical, rtol=0, atol=0)


def test_a_crop_of_the_images_size_is_a_copy(make_raw: MakeRaw, constants: Normalisation) -> None:
    raw = make_raw(4, 48)
    batch = augment(raw, constants, Augmentation(crop=(48, 48), turns=False), 48)
    radar = raw.radar.float()
    assert torch.equal(batch.radar, scale(radar, constants.radar_mean, constants.radar_std, radar.isnan()))


def test_a_sample_is_the_same_in_any_company(make_raw: MakeRaw, constants: Normalisation) -> None:
    raw = make_raw(9, 48)
    whole = augment(raw, constants, CROPS, 24)
    for part in (slice(0, 1), slice(3, 5), slice(2, 9)):
        optical = {resolution: bands[part] for resolution, bands in raw.optical.items()}
        piece = augment(RawBatch(raw.radar[part], optical, raw.keys[part], raw.ids[part]), constants, CROPS, 24)
        assert torch.equal(piece.radar, whole.radar[part])
        assert torch.equal(piece.optical, whole.optical[part])
        assert piece.ids == whole.ids[part]


def test_windows_fill_their_range(make_raw: MakeRaw) -> None:
    keys = torch.from_numpy(np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 20_000))
    window = draw_window(keys, 48, CROPS)
    assert window.side.unique().tolist() == list(range(20, 49))
    for start in (window.top, window.left):
        assert start.min() == 0
        assert ((start + window.side).max()) == 48
    turns = window.flip.long() + 2 * window.mirror.long() + 4 * window.transpose.long()
    assert (turns.bincount() - 2500).abs().max() < 5 * 2500**0.5
    corner = (window.side == 47) & (window.top == 1)
    assert 0.35 < corner.sum() / (window.side == 47).sum() < 0.65


def test_the_eight_turns_are_all_different(make_raw: MakeRaw, constants: Normalisation) -> None:
    raw = make_raw(1, 48)
    keys = torch.arange(200)
    many = RawBatch(
        raw.radar.expand(200, -1, -1, -1),
        {resolution: bands.expand(200, -1, -1, -1) for resolution, bands in raw.optical.items()},
        keys,
        ("same",) * 200,
    )
    batch = augment(many, constants, Augmentation(crop=(48, 48)), 48)
    assert len({image.numpy().tobytes() for image in batch.radar}) == 8
    assert len({image.numpy().tobytes() for image in batch.optical}) == 8


def test_nodata_becomes_the_lowest_value(make_raw: MakeRaw, constants: Normalisation) -> None:
    raw = make_raw(1, 24)
    raw.radar[0, 1, 5, 7] = torch.nan
    raw.optical[20][0, 2] = torch.zeros_like(raw.optical[20][0, 2])
    batch = prepare(raw, constants, 24)
    assert batch.radar[0, 1, 5, 7] == 0
    assert batch.radar.isfinite().all()
    assert (batch.optical[0, SENTINEL_2_L2A.at(20)[2]] == 0).all()


def test_a_band_that_never_varies_is_zero() -> None:
    flat = torch.full((2, 1, 3, 3), 7.0)
    assert (scale(flat, (7.0,), (0.0,), flat.isnan()) == 0).all()


def test_prepare_takes_the_middle(make_raw: MakeRaw, constants: Normalisation) -> None:
    raw = make_raw(3, 48)
    large, small = prepare(raw, constants, 48), prepare(raw, constants, 24)
    assert torch.equal(small.radar, large.radar[:, :, 12:36, 12:36])
    assert torch.equal(small.optical, large.optical[:, :, 12:36, 12:36])
    assert prepare(raw, constants, 96).radar.shape == (3, 2, 96, 96)


def test_turns_can_be_switched_off(make_raw: MakeRaw) -> None:
    window = draw_window(torch.arange(50), 48, Augmentation(crop=(20, 48), turns=False))
    assert not (window.flip | window.mirror | window.transpose).any()


def test_refusals() -> None:
    with pytest.raises(ValueError, match="crop is up to 180 px: the chips of this dataset are 120 px"):
        draw_window(torch.arange(3), 120, Augmentation())
    with pytest.raises(ValueError, match="starts at 2"):
        Augmentation(crop=(0, 8))
    with pytest.raises(ValueError, match="threads is 0; it is at least 1; depth is 1; it is at least 2"):
        Reading(threads=0, depth=1)
    with pytest.raises(ValueError, match="memory_gb is 0; it is more than 0"):
        Reading(memory_gb=0)


@pytest.mark.parametrize("size", [48, 26, 24])
def test_the_middle_is_cut_wherever_it_lies_in_coarse_pixels(
    make_raw: MakeRaw, constants: Normalisation, size: int
) -> None:
    raw = make_raw(3, 48)
    raw.radar[0, 0, 20, 20] = torch.nan
    batch, start, no = prepare(raw, constants, size), torch.tensor([(48 - size) // 2] * 3), torch.zeros(3, dtype=bool)
    window = Window(start, start, torch.full_like(start, size), no, no, no)
    for row in range(3):
        expected = slowly(raw, row, constants, window, size).nan_to_num(0)
        torch.testing.assert_close(torch.cat([batch.optical[row], batch.radar[row]]), expected, atol=2e-6, rtol=0)


def test_the_middle_in_stored_units(make_raw: MakeRaw) -> None:
    raw = make_raw(2, 48)
    raw.radar[0, 0, 20, 20] = torch.nan
    batch = prepare(raw, None, 24)
    assert torch.equal(batch.radar, raw.radar[:, :, 12:36, 12:36].float().nan_to_num())
    assert torch.equal(batch.optical[:, SENTINEL_2_L2A.at(10)[0]], raw.optical[10][:, 0, 12:36, 12:36].float())
