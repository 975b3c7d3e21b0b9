"""Pictures of some pairs: both sensors and the land cover of the same ground."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.image import imsave

from croma.building.report.looks import chosen
from croma.shards.classes import colours_of, names_of
from croma.shards.dataset import Dataset, Header
from croma.shards.reader import read_chip

Json = dict[str, Any]
Image = npt.NDArray[np.float32]
"""(height, width, 3) in [0, 1]."""

PAIRS = 24

_BRIGHT, _GAMMA = {"natural": 2500.0, "infrared": 4500.0}, 0.7
"""Reflectance × 10,000 shown as white, and the exponent that lifts vegetation and water out of the dark."""
_COMPOSITES = {"natural": (2, 1, 0), "infrared": (3, 2, 1)}
"""Of B02, B03, B04, B08: red, green and blue."""
_DECIBELS = ((-22.0, -2.0), (-28.0, -8.0), (2.0, 14.0))
"""What is shown from black to full of VV, VH and their difference."""


def gallery(dataset: Dataset, pairs: int = PAIRS) -> list[Json]:
    """Up to `pairs` pairs, of as many pairs of scenes, each with its pictures as data addresses."""
    rows = dataset.rows.take(chosen(dataset.rows, pairs)).to_pylist()
    return [_pair(dataset, row, read_chip(dataset.ref.uri, row, dataset.layout)) for row in rows]


def _pair(dataset: Dataset, row: Mapping[str, Any], planes: Mapping[str, npt.NDArray[Any]]) -> Json:
    fine = planes["s2_10m"]
    pictures = {kind: _jpeg(composite(fine, kind)) for kind in _COMPOSITES} | {"radar": _jpeg(radar(planes["s1"]))}
    if "label" in planes:
        pictures["land cover"] = _png(_classes(planes["label"], dataset.header))
    label = names_of(dataset.header, [row["label"]])[0] if row["label"] is not None else None
    return {
        "chip": row["chip"],
        "split": row["split"],
        "optical": f"{row['optical_time']:%Y-%m-%d %H:%M}",
        "gap": row["gap_hours"],
        "orbit": row["orbit_state"],
        "cloud": row["cloud"],
        "label": label,
        "pictures": pictures,
    }


def composite(fine: npt.NDArray[Any], kind: str) -> Image:
    """The 10 m bands (B02, B03, B04, B08) in natural colour or false infrared, one scale for all; nodata is black."""
    shown = fine[list(_COMPOSITES[kind])].astype(np.float32) / _BRIGHT[kind]
    return np.asarray(np.moveaxis(np.clip(shown, 0, 1) ** _GAMMA, 0, 2), np.float32)


def radar(decibels: npt.NDArray[Any]) -> Image:
    """VV, VH and VV − VH as red, green and blue; one scale for all chips, nodata black."""
    vv, vh = decibels.astype(np.float32)
    shown = [(plane - low) / (high - low) for plane, (low, high) in zip((vv, vh, vv - vh), _DECIBELS, strict=True)]
    return np.asarray(np.nan_to_num(np.clip(np.stack(shown, axis=2), 0, 1)), np.float32)


def _classes(label: npt.NDArray[np.uint8], header: Header) -> Image:
    codes = np.unique(label).tolist()
    table = np.zeros((256, 3), np.float32)
    for code, colour in zip(codes, colours_of(header, codes), strict=True):
        table[code] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] if code else (0, 0, 0)
    return np.asarray(table[label])


def _jpeg(image: Image) -> str:
    return _encoded(image, "jpeg", {"quality": 88})


def _png(image: Image) -> str:
    return _encoded(image, "png", {})


def _encoded(image: Image, form: str, options: Mapping[str, Any]) -> str:
    buffer = io.BytesIO()
    imsave(buffer, image, format=form, pil_kwargs=dict(options))
    return f"data:image/{form};base64,{base64.b64encode(buffer.getvalue()).decode()}"
