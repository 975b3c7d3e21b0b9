"""Samples cut into chips of one size, pixel for pixel: nothing is ever resampled.

Larger images whose pixels are labelled are covered with tiles at even distances, as few as there may be; where the size
does not divide the image, neighbours overlap, as in the published tiles of DFC2020 (256 px in 96 px tiles, 80 px
apart). Of larger images that are labelled as a whole the middle is taken. Smaller images are put in the middle, with
nodata around them.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from croma.building.labels import summary
from croma.chip import Chip, Rejection
from croma.errors import UnusableError
from croma.grid import PIXEL, Cell
from croma.importing.benchmark import Sample
from croma.sensors import RADAR_CHANNELS, SENTINEL_2_L2A
from croma.shards.layout import ChipLayout

Array = npt.NDArray[Any]

APART = 50_000
"""Metres between places that nobody knows, on an imaginary plane: farther than any block of a bootstrap is wide."""

_LINES = 40_000


def chips_of(sample: Sample, layout: ChipLayout) -> Iterator[Chip | Rejection]:
    """The chips of a sample, row by row; a refusal for one without a label, or where neither sensor has measured.

    Raises:
        UnusableError: its images are not of one size, or not of the bands or the size of the dataset.
    """
    if isinstance(sample.label, frozenset) and not sample.label:
        detail = "none of the classes of the benchmark"
        yield Rejection(chip=sample.name, cell=_cell(sample, 0, 0), reason="no-label", detail=detail)
        return
    height, width = _extent(sample)
    if layout.native and (height, width) != (layout.size, layout.size):
        raise UnusableError(f"images are {height} × {width} px where {layout.size} × {layout.size} are expected")
    rows, columns = starts(height, layout.size), starts(width, layout.size)
    if not isinstance(sample.label, np.ndarray):  # a label of the whole image is not true of its corners
        rows, columns = [(height - layout.size) // 2], [(width - layout.size) // 2]
    several = len(rows) * len(columns) > 1
    for row in rows:
        for column in columns:
            tail = f"_r{row}_c{column}" if several else ""
            chip = _chip(sample, layout, row, column, tail)
            empty = min(chip.facts["radar_nodata"], chip.facts["optical_nodata"]) == 1
            nothing = "neither sensor has measured anything"
            yield Rejection(chip=chip.id, cell=chip.cell, reason="nodata", detail=nothing) if empty else chip


def starts(length: int, size: int) -> list[int]:
    """Where tiles of `size` pixels begin that cover `length`; negative where the image is smaller.

    Law: tiles lie within the image (or hold all of it), and every pixel is in one at least.
    """
    if length <= size:
        return [(length - size) // 2]
    count = -(-length // size)
    return [round(number * (length - size) / (count - 1)) for number in range(count)]


def _extent(sample: Sample) -> tuple[int, int]:
    images = {"radar": sample.radar, "optical": (sample.optical or {}).get(PIXEL)}
    if isinstance(sample.label, np.ndarray):
        images["label"] = sample.label[None]
    shapes = {name: image.shape[1:] for name, image in images.items() if image is not None}
    if len(set(shapes.values())) != 1:
        raise UnusableError(f"images differ in size: {shapes}" if shapes else "there is no image")
    height, width = next(iter(shapes.values()))
    return int(height), int(width)


def _chip(sample: Sample, layout: ChipLayout, row: int, column: int, tail: str) -> Chip:
    size = layout.size
    radar = np.full((RADAR_CHANNELS, size, size), np.nan, np.float16)
    if sample.radar is not None:
        radar = _window(sample.radar, row, column, size, np.nan).astype(np.float16)
    optical = {}
    for plane in layout.planes:
        if plane.name.startswith("s2_"):
            resolution = int(plane.name[3:-1])
            optical[resolution] = _optical(sample, resolution, plane.shape, row, column)
    label = None
    facts: dict[str, Any] = {"label": None, "label_shares": {}}
    if isinstance(sample.label, np.ndarray):
        label = _window(sample.label[None], row, column, size, 0)[0].astype(np.uint8)
        facts = summary(label)
    elif isinstance(sample.label, frozenset):
        facts = {"label": None, "label_shares": {str(code): 1.0 for code in sorted(sample.label)}}
    else:
        facts = {"label": sample.label, "label_shares": {str(sample.label): 1.0}}
    name = re.sub(r"[^A-Za-z0-9_-]", "-", sample.name) + tail
    facts |= sample.facts | _where(sample, row, column) | _quality(radar, optical)
    return Chip(id=name, cell=_cell(sample, row, column), radar=radar, optical=optical, label=label, facts=facts)


def _optical(sample: Sample, resolution: int, shape: tuple[int, ...], row: int, column: int) -> Array:
    if sample.optical is None:
        return np.zeros(shape, np.uint16)
    bands, times = sample.optical[resolution], resolution // PIXEL
    if len(bands) != shape[0]:
        raise UnusableError(f"{len(bands)} optical bands at {resolution} m where {shape[0]} are expected")
    return _window(bands, row // times, column // times, shape[1], 0).astype(np.uint16)


def _window(image: Array, row: int, column: int, size: int, outside: float) -> Array:
    """`size` pixels from (row, column), which may lie outside the image."""
    found = np.full((len(image), size, size), outside, image.dtype)
    part = image[:, max(row, 0) : row + size, max(column, 0) : column + size]
    top, left = max(-row, 0), max(-column, 0)
    found[:, top : top + part.shape[1], left : left + part.shape[2]] = part
    return found


def _cell(sample: Sample, row: int, column: int) -> Cell:
    """The corner of a chip to the metre; of a place that nobody knows, its own on an imaginary plane (EPSG code 0)."""
    if sample.ground is None:
        place = int.from_bytes(blake2b(sample.place.encode(), digest_size=8).digest(), "big")
        epsg, left, top = 0, place % _LINES * APART, place // _LINES % _LINES * APART
    else:
        epsg, left, top = sample.ground.epsg, round(sample.ground.left), round(sample.ground.top)
    return Cell(epsg, left + column * PIXEL, top - row * PIXEL)


def _where(sample: Sample, row: int, column: int) -> dict[str, Any]:
    ground = sample.ground
    if ground is None:
        return {}
    a, b, c, d, e, f = ground.transform
    return {
        "longitude": round(ground.longitude, 6),
        "latitude": round(ground.latitude, 6),
        "source_crs": ground.crs,
        "source_transform": [a, b, a * column + b * row + c, d, e, d * column + e * row + f],
    }


def _quality(radar: Array, optical: dict[int, Array]) -> dict[str, Any]:
    """Shares of pixels without a measurement: of all of radar, and of the 10 m bands, the worst of them.

    A band that is nodata throughout while another is not is one that the benchmark does not have.
    """
    finest = optical[min(optical)]
    missing = (finest == SENTINEL_2_L2A.nodata).mean(axis=(1, 2))
    had = missing[missing < 1] if (missing < 1).any() else missing
    nodata = {"radar_nodata": float(np.isnan(radar).any(0).mean()), "optical_nodata": float(had.max())}
    return {**{name: round(share, 6) for name, share in nodata.items()}, "resampled": False, "reader": "import"}
