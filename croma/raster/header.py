"""What a raster file says of itself, and where that puts it on the chip grid.

Only the file is asked. The item's `proj:transform` may describe an earlier version of the product.
"""

from dataclasses import dataclass
from typing import NamedTuple

from croma.grid import GeoBox

Affine = tuple[float, float, float, float, float, float]
"""Coefficients in rasterio's order: x = a·col + b·row + c, y = d·col + e·row + f."""

TOLERANCE = 1e-3
"""Pixels. Grids that differ by less over the whole file are the same grid: float noise of writers, 1 cm at 10 m."""


class Window(NamedTuple):
    """A rectangle in a file's own pixels. It may reach beyond the file."""

    row: int
    col: int
    height: int
    width: int

    @property
    def area(self) -> int:
        """Pixels."""
        return self.height * self.width

    def inside(self, other: "Window") -> bool:
        """Whether all of it lies in `other`."""
        row, col, height, width = self
        above, left, rows, cols = other
        return above <= row and left <= col and row + height <= above + rows and col + width <= left + cols

    def within(self, other: "Window") -> "Window":
        """The part that lies in `other`; its area is 0 where there is none."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        bottom, right = (
            min(self.row + self.height, other.row + other.height),
            min(self.col + self.width, other.col + other.width),
        )
        return Window(row, col, max(bottom - row, 0), max(right - col, 0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The first band of a raster file, without its pixels."""

    epsg: int | None
    """None where the CRS has no EPSG code."""
    crs: str
    """The CRS in words that GDAL understands; empty where the file has none."""
    transform: Affine
    height: int
    """Pixels."""
    width: int
    """Pixels."""
    block_height: int
    """Pixels of the unit that is fetched and decoded as a whole."""
    block_width: int
    """Pixels."""
    dtype: str
    """NumPy's name of the type."""
    nodata: float | None
    """The value that the file declares to mean "nothing was measured"."""

    @property
    def window(self) -> Window:
        """The whole image."""
        return Window(0, 0, self.height, self.width)


def locate(header: Header, box: GeoBox) -> Window | None:
    """The window of a file that is `box`, pixel for pixel; None where the grids do not coincide.

    They coincide when CRS, pixel size and orientation are equal and the corner of `box` lies on a corner of a pixel.
    """
    a, b, left, d, e, top = header.transform
    extent = max(header.height, header.width)
    drift = max(abs(a / box.resolution - 1), abs(-e / box.resolution - 1)) * extent
    if header.epsg != box.epsg or b or d or drift > TOLERANCE:
        return None
    col, row = (box.left - left) / box.resolution, (top - box.top) / box.resolution
    if max(abs(col - round(col)), abs(row - round(row))) > TOLERANCE:
        return None
    return Window(round(row), round(col), box.height, box.width)
