"""Whether radar and optical pixels of a chip show the same ground: the shift at which one explains the other best.

Radar and optical numbers have no common scale, so they are not correlated directly. Instead the radar is fitted by the
10 m bands and their edges, linearly, at every shift; where the images lie right, the fit is best. One chip may mislead;
the fits of many chips of two scenes, averaged, do not.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

REACH = 8
"""Pixels of 10 m. Shifts of up to so many, in each direction, are tried."""

SMALLEST = 6 * REACH
"""Pixels. Chips with a shorter side have too little ground left between the shifts."""

FILLED = 0.2
"""Share of pixels without a measurement above which a chip says nothing."""

_DARK = 200
"""Added to reflectance × 10,000 before the logarithm, so that noise in water does not count."""


def fits(radar: npt.NDArray[Any], optical: npt.NDArray[Any]) -> Floats | None:
    """How well the optical bands explain the radar when it is moved.

    Args:
        radar: decibels, shape (2, size, size), NaN is nodata.
        optical: the 10 m bands (B02, B03, B04, B08), reflectance × 10,000, shape (4, size, size), 0 is nodata.

    Returns:
        The share of the radar's variance that a linear fit explains, the mean of both channels, of shape
        (2·REACH + 1, 2·REACH + 1); entry [REACH + south, REACH + east] is for a radar that lies so many pixels south
        and east of where it belongs. None where the chip is too small, too empty, or without any structure.
    """
    size = radar.shape[-1]
    holes = np.isnan(radar).any(axis=0) | (optical == 0).any(axis=0)
    if size < SMALLEST or holes.mean() > FILLED:
        return None
    features, channels = _features(optical), _filled(radar)[:, REACH:-REACH, REACH:-REACH]
    channels = channels - channels.mean((1, 2), keepdims=True)
    variance = channels.var((1, 2))
    core = features[:, REACH:-REACH, REACH:-REACH].reshape(len(features), -1)
    covariance = np.cov(core)
    scale = np.trace(covariance) / len(features)
    if not variance.all() or not scale:
        return None
    inverse = np.linalg.inv(covariance + 1e-6 * scale * np.eye(len(features)))
    products = _products(features, channels) / core.shape[1]
    explained = np.einsum("cixy,ij,cjxy->cxy", products, inverse, products) / variance[:, None, None]
    return np.asarray(explained.mean(0), np.float32)


class Shift(NamedTuple):
    """Where the radar lies."""

    south: int
    """Pixels of 10 m south of where it belongs."""
    east: int
    clarity: float
    """How far the best fit stands out of those at other shifts, in their median deviations; below 5 it says nothing."""

    @property
    def pixels(self) -> int:
        """The larger of both."""
        return max(abs(self.south), abs(self.east))


def shift(fits: Floats) -> Shift:
    """The shift at which the fit is best."""
    south, east = np.unravel_index(int(fits.argmax()), fits.shape)
    middle = np.median(fits)
    deviation = float(np.median(np.abs(fits - middle)))
    clarity = float(fits.max() - middle) / deviation if deviation else 0.0
    return Shift(int(south) - REACH, int(east) - REACH, clarity)


def _features(optical: npt.NDArray[Any]) -> Floats:
    """Logarithms of the bands, and the edges of the last two, centred."""
    bands = np.log(optical.astype(np.float32) + _DARK)
    edges = [np.hypot(*np.gradient(band)) for band in bands[2:]]
    features = np.stack([*bands, *edges])
    return np.asarray(features - features.mean((1, 2), keepdims=True), np.float32)


def _filled(radar: npt.NDArray[Any]) -> Floats:
    exact = radar.astype(np.float32)
    return np.stack([np.where(np.isnan(channel), np.nanmean(channel), channel) for channel in exact])


def _products(features: Floats, channels: Floats) -> Floats:
    """Sums of products of each channel and each feature at every shift: (channels, features, shifts, shifts)."""
    size = features.shape[-1]
    padded = np.zeros((len(channels), size, size), np.float32)
    padded[:, : channels.shape[1], : channels.shape[2]] = channels
    spectrum = np.fft.rfft2(features)[None] * np.conj(np.fft.rfft2(padded))[:, None]
    sums = np.fft.irfft2(spectrum, s=(size, size))[..., : 2 * REACH + 1, : 2 * REACH + 1]
    # The window of the features moves down as the radar moves up.
    return np.asarray(sums[..., ::-1, ::-1], np.float32)
