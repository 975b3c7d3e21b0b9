"""What a plan will cost to fill, before a pixel is read: requests, bytes, waste.

Files are read in blocks, each fetched and decoded once per shard. Which blocks chips meet is counted on a grid of 512
pixels from the zone's origin; the files' own grids begin elsewhere, which changes the numbers by a few percent.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from croma.building.book import Book, Rows
from croma.building.prices import Prices
from croma.document import Document
from croma.grid import PIXEL
from croma.places import Floats, Integers, Places
from croma.shards.layout import ChipLayout

BLOCK = 512
"""Pixels along a side of a block, as both providers of Sentinel-2 and Planetary Computer's radar have it."""


class Layer(NamedTuple):
    """Bands of one sensor at one resolution."""

    resolution: int
    """Metres."""
    bands: int
    bytes_per_pixel: float
    """As stored and compressed, where there is data: from the sizes and the coverage of real files."""


OPTICAL = (Layer(10, 4, 1.75), Layer(20, 6, 1.95), Layer(60, 2, 1.95), Layer(20, 1, 0.09))
"""The bands, and the scene classification."""
RADAR = (Layer(10, 2, 4.0),)
LABEL = (Layer(10, 1, 0.1),)


class Estimate(Document):
    """What filling a plan will take."""

    chips: int
    requests: int
    """One for the header of each file of each shard, and one for each row of neighbouring blocks."""
    bytes_read: int
    bytes_stored: int
    """If no chip is refused."""
    waste: float
    """Pixels decoded for each pixel of a chip; 1 is the floor. Sparse chips are dear: a block is read for each."""
    chips_per_scene: float
    """On average, of optical scenes."""

    def hours(self, prices: Prices) -> float:
        """Hours of one machine."""
        return self.bytes_read / 1e6 / prices.read_mb_per_second / 3600

    def cost(self, prices: Prices) -> float:
        """For reading once, without storing."""
        return self.bytes_read / 1e9 * prices.read_gb + self.requests / 1e6 * prices.requests_million

    def monthly(self, prices: Prices) -> float:
        """For storing, each month."""
        return self.bytes_stored / 1e9 * prices.stored_gb_month


def estimate(book: Book) -> Estimate:
    """What filling the shards of `book` will take. Counts each shard by itself, as it is filled."""
    size, label = book.cutting.chip_size, book.cutting.labels is not None
    chips, requests, read, decoded, scenes = 0, 0, 0.0, 0.0, set()
    for number in range(len(book.splits)):
        rows = book.rows(number)
        chips += len(rows.keys)
        scenes.update(np.unique(rows.optical).tolist())
        for scene, layers in _sources(book, rows, label):
            for layer in layers:
                blocks, runs, files = _blocks(rows.keys, scene, size, BLOCK * layer.resolution)
                requests += (runs + files) * layer.bands
                decoded += blocks * BLOCK**2 * layer.bands
                read += blocks * BLOCK**2 * layer.bands * layer.bytes_per_pixel
    wanted = chips * sum((size * PIXEL / la.resolution) ** 2 * la.bands for la in (*OPTICAL, *RADAR, *LABEL[:label]))
    return Estimate(
        chips=chips,
        requests=requests,
        bytes_read=round(read),
        bytes_stored=chips * ChipLayout(size=size, label=label).length,
        waste=round(decoded / wanted, 2) if wanted else 0.0,
        chips_per_scene=round(chips / len(scenes), 1) if scenes else 0.0,
    )


def _sources(book: Book, rows: Rows, label: bool) -> Iterator[tuple[Integers, tuple[Layer, ...]]]:
    """For each kind of file the number of the scene that each chip is cut from, and its layers."""
    yield rows.optical, OPTICAL
    yield rows.radar, RADAR
    if label:
        first = np.array([members[0] if members else -1 for members in book.sets])
        yield first[rows.labels], LABEL


def _blocks(keys: Integers, scenes: Integers, size: int, side: int) -> tuple[int, int, int]:
    """Blocks of `side` metres that chips meet in their scenes, rows of neighbouring blocks, and files."""
    keys, scenes = keys[scenes >= 0], scenes[scenes >= 0]
    bounds: Floats = Places.from_keys(keys).bounds(size)
    first, last = np.floor(bounds[:, :2] / side), np.ceil(bounds[:, 2:] / side)
    span = (last - first).astype(np.int64)
    met = []
    for dx in range(int(span[:, 0].max(initial=0))):
        for dy in range(int(span[:, 1].max(initial=0))):
            inside = (dx < span[:, 0]) & (dy < span[:, 1])
            column, row = (first[inside] + (dx, dy)).astype(np.int64).T
            met.append((scenes[inside] << 40) | (row + (1 << 18) << 20) | column + (1 << 18))
    blocks = np.unique(np.concatenate([np.zeros(0, np.int64), *met]))
    runs = int(np.sum(np.diff(blocks) != 1)) + 1 if len(blocks) else 0
    return len(blocks), runs, len(np.unique(scenes))
