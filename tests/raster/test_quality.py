from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from croma.raster.quality import clear, hidden, missing, optical_nodata, radar_nodata, sky


@dataclass(frozen=True)
class Rule:
    max_cloud: float = 0.1
    max_snow: float = 1.0
    max_saturated: float = 1.0
    max_optical_nodata: float = 0.0
    max_radar_nodata: float = 0.0


def scene_classes(**shares: int) -> np.ndarray:
    """A hundred pixels: so many of each class, the rest vegetation."""
    codes = np.full(100, 4, np.uint8)
    start = 0
    for name, count in shares.items():
        codes[start : start + count] = int(name.removeprefix("c"))
        start += count
    return codes.reshape(10, 10)


def optical(size: int = 24) -> dict[int, np.ndarray]:
    return {
        10: np.ones((4, size, size)),
        20: np.ones((6, size // 2, size // 2)),
        60: np.ones((2, size // 6, size // 6)),
    }


@pytest.mark.parametrize("code", range(12))
def test_what_hides_the_ground(code: int) -> None:
    found = sky(scene_classes(**{f"c{code}": 20}))
    assert found is not None
    assert found.cloud == (0.2 if code in (3, 8, 9, 10) else 0)
    assert found.snow == (0.2 if code == 11 else 0)
    assert found.saturated == (0.2 if code == 1 else 0)
    assert clear(scene_classes(**{f"c{code}": 20})).mean() == (0.8 if code in (0, 1, 3, 8, 9, 10) else 1)


def test_shares_are_of_the_classified_pixels() -> None:
    found = sky(scene_classes(c0=50, c9=25))
    assert found is not None
    assert found.cloud == 0.5


def test_no_classification_is_not_a_clear_sky() -> None:
    assert sky(np.zeros((10, 10), np.uint8)) is None
    assert hidden(None, Rule(max_cloud=0)) is None


@given(arrays(np.uint8, (12, 12), elements=st.integers(0, 11)))
def test_shares_are_shares(codes: np.ndarray) -> None:
    found = sky(codes)
    if found is not None:
        assert min(found) >= 0
        assert found.cloud + found.snow + found.saturated <= 1 + 1e-12


@pytest.mark.parametrize(
    ("codes", "rule", "reason"),
    [
        (scene_classes(c9=11), Rule(), "cloud"),
        (scene_classes(c9=10), Rule(), None),
        (scene_classes(c3=6, c10=5), Rule(), "cloud"),
        (scene_classes(c11=60), Rule(max_snow=0.5), "snow"),
        (scene_classes(c11=60), Rule(), None),
        (scene_classes(c1=2), Rule(max_saturated=0.01), "saturated"),
        (scene_classes(c9=50, c11=50), Rule(max_snow=0), "cloud"),
    ],
)
def test_the_first_excess_is_the_reason(codes: np.ndarray, rule: Rule, reason: str | None) -> None:
    excess = hidden(sky(codes), rule)
    assert (excess and excess.reason) == reason


def test_a_pixel_is_missing_where_any_band_is() -> None:
    bands = optical()
    assert optical_nodata(bands) == 0
    bands[10][2, 0, 0] = 0
    assert optical_nodata(bands) == 1 / 576
    bands[20][5, 0, 0] = 0
    assert optical_nodata(bands) == 4 / 576
    bands[60][1, 3, 3] = 0
    assert optical_nodata(bands) == (4 + 36) / 576


def test_a_radar_pixel_is_missing_where_any_channel_is() -> None:
    radar = np.zeros((2, 10, 10), np.float16)
    radar[0, 0, 0], radar[1, 0, 0], radar[1, 5, 5] = np.nan, np.nan, np.nan
    assert radar_nodata(radar) == 0.02


@pytest.mark.parametrize(
    ("shares", "reason"),
    [((0, 0), None), ((0.1, 0), "optical-nodata"), ((0, 0.1), "radar-nodata"), ((0.1, 0.1), "optical-nodata")],
)
def test_missing_pixels_are_refused(shares: tuple[float, float], reason: str | None) -> None:
    excess = missing(*shares, Rule())
    assert (excess and excess.reason) == reason
    assert missing(*shares, Rule(max_optical_nodata=0.1, max_radar_nodata=0.1)) is None
