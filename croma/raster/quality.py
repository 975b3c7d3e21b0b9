"""How good a chip is: what is missing, what is hidden by cloud, and whether that is too much."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

SCL = "SCL"
"""Name of the scene classification of Sentinel-2 among the assets of a scene. Its pixels are 20 m."""

SCL_RESOLUTION = 20
"""Metres."""

_SATURATED_CLASS, _SHADOW, _CLOUDS, _SNOW = 1, 3, (8, 9, 10), 11
_UNCLEAR = (0, _SATURATED_CLASS, _SHADOW, *_CLOUDS)

Classes = npt.NDArray[np.uint8]


class Limits(Protocol):
    """What a chip may lack, as shares of its pixels; the recipe says how much."""

    @property
    def max_cloud(self) -> float:
        """Cloud, thin cirrus and cloud shadow."""
        ...

    @property
    def max_snow(self) -> float:
        """Snow and ice."""
        ...

    @property
    def max_saturated(self) -> float:
        """Saturated pixels."""
        ...

    @property
    def max_optical_nodata(self) -> float:
        """Pixels without a measurement in some optical band."""
        ...

    @property
    def max_radar_nodata(self) -> float:
        """Pixels without a measurement in some radar channel."""
        ...


class Sky(NamedTuple):
    """What the scene classification says of a chip, as shares of the pixels that it classifies."""

    cloud: float
    """Cloud, thin cirrus and cloud shadow."""
    snow: float
    saturated: float


def sky(scl: Classes) -> Sky | None:
    """What a scene classification says; None where it classifies no pixel, which is not the same as clear."""
    known = int(np.count_nonzero(scl))
    if not known:
        return None
    counts = np.bincount(scl.ravel(), minlength=_SNOW + 1)
    return Sky(
        cloud=float(counts[[_SHADOW, *_CLOUDS]].sum() / known),
        snow=float(counts[_SNOW] / known),
        saturated=float(counts[_SATURATED_CLASS] / known),
    )


def clear(scl: Classes) -> npt.NDArray[np.bool_]:
    """Pixels that show the ground and are not saturated."""
    return ~np.isin(scl, _UNCLEAR)


def radar_nodata(radar: npt.NDArray[np.float16]) -> float:
    """Share of pixels of (channels, size, size) decibels without a measurement in some channel."""
    return float(np.isnan(radar).any(axis=0).mean())


def optical_nodata(optical: dict[int, npt.NDArray[np.uint16]]) -> float:
    """Share of 10 m pixels without a measurement in some band of any resolution."""
    size = max(bands.shape[-1] for bands in optical.values())
    missing = np.zeros((size, size), np.bool_)
    for bands in optical.values():
        missing |= spread((bands == 0).any(axis=0), size)
    return float(missing.mean())


class Excess(NamedTuple):
    """Why a pair becomes no chip."""

    reason: str
    """The word that refusals are counted by."""
    detail: str
    """What was measured, and what was allowed."""


def hidden(sky: Sky | None, limits: Limits) -> Excess | None:
    """What of the sky exceeds the limits, the first in a fixed order; nothing where the sky is unknown."""
    if sky is None:
        return None
    return (
        _excess("cloud", sky.cloud, limits.max_cloud)
        or _excess("snow", sky.snow, limits.max_snow)
        or _excess("saturated", sky.saturated, limits.max_saturated)
    )


def missing(optical: float, radar: float, limits: Limits) -> Excess | None:
    """Which share of nodata exceeds the limits, that of the optical sensor first."""
    return _excess("optical-nodata", optical, limits.max_optical_nodata) or _excess(
        "radar-nodata", radar, limits.max_radar_nodata
    )


def _excess(reason: str, share: float, limit: float) -> Excess | None:
    return Excess(reason, f"{share:.4f} of the pixels, at most {limit:g} allowed") if share > limit else None


def spread(mask: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.bool_]:
    """A square mask with every pixel repeated until it is `size` pixels wide."""
    times = size // mask.shape[0]
    return mask.repeat(times, axis=0).repeat(times, axis=1)
