import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from croma.raster.radiometry import CLASSES, SATURATED, decibels, reflectance, scaling

NUMBERS = arrays(np.uint16, (6, 6), elements=st.integers(0, 65_535))


def optical(numbers: np.ndarray, offset: float = 0, scale: float = 1, nodata: float | None = 0) -> np.ndarray:
    how = scaling("optical", scale, offset)
    return how.store(numbers, nodata)


def radar(numbers: np.ndarray, nodata: float | None = -32768) -> np.ndarray:
    how = scaling("radar")
    return how.store(numbers, nodata)


@given(NUMBERS)
def test_without_an_offset_reflectance_is_the_number(numbers: np.ndarray) -> None:
    np.testing.assert_array_equal(optical(numbers), numbers)


@given(NUMBERS, st.integers(-2000, 2000))
def test_the_offset_never_makes_or_unmakes_nodata(numbers: np.ndarray, offset: int) -> None:
    stored = optical(numbers, offset)
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored == 0, numbers == 0)
    np.testing.assert_array_equal(stored[numbers == SATURATED], SATURATED)
    plain = (numbers > 0) & (numbers < SATURATED)
    expected = np.clip(numbers[plain].astype(int) + offset, 1, SATURATED)
    np.testing.assert_array_equal(stored[plain], expected)


def test_a_dark_pixel_of_baseline_04_stays_a_measurement() -> None:
    numbers = np.array([0, 1, 999, 1000, 1001, 65_534, 65_535], np.uint16)
    assert optical(numbers, -1000).tolist() == [0, 1, 1, 1, 1, 64_534, 65_535]


@given(NUMBERS, st.integers(-1000, 1000))
def test_resampled_numbers_are_rounded_and_otherwise_the_same(numbers: np.ndarray, offset: int) -> None:
    np.testing.assert_array_equal(optical(numbers.astype(np.float32), offset), optical(numbers, offset))
    quarter = numbers.astype(np.float32) + np.float32(0.25)
    everywhere = np.ones(numbers.shape, np.bool_)
    sane = (numbers > 2100) & (numbers < 60_000)
    np.testing.assert_array_equal(
        reflectance(quarter, everywhere, 1, offset)[sane], reflectance(numbers, everywhere, 1, offset)[sane]
    )


def test_a_scale_is_applied_before_the_offset() -> None:
    assert optical(np.array([0, 100], np.uint16), offset=-10, scale=2.5).tolist() == [0, 240]
    assert optical(np.array([np.nan, 0.25], np.float32), scale=10_000).tolist() == [0, 2500]


def test_another_declared_nodata_counts_too() -> None:
    assert optical(np.array([0, 7, 9999], np.uint16), nodata=9999).tolist() == [0, 7, 0]


@pytest.mark.parametrize("missing", [-32768, 0, -0.5, np.nan, np.inf, -np.inf, 42])
def test_radar_without_a_measurement_is_nan(missing: float) -> None:
    stored = radar(np.array([missing, 0.1], np.float32), nodata=42)
    assert stored.dtype == np.float16
    assert np.isnan(stored).tolist() == [True, False]
    assert stored[1] == np.float16(-10)


@given(arrays(np.float32, 50, elements=st.floats(np.float32(1e-5), np.float32(1e4), width=32)))
def test_decibels_are_right_to_the_last_half_bit(power: np.ndarray) -> None:
    exact = np.array([10 * np.log10(float(value)) for value in power])
    stored = decibels(power, np.ones(power.shape, np.bool_), 1, 0)
    np.testing.assert_array_equal(stored, exact.astype(np.float16))


@given(arrays(np.uint8, 30))
def test_classes_are_what_they_are(codes: np.ndarray) -> None:
    np.testing.assert_array_equal(CLASSES.store(codes, 0), codes)
    np.testing.assert_array_equal(CLASSES.store(codes, 255) == 0, np.isin(codes, [0, 255]))
