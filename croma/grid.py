"""The chip grid: square windows of UTM whose corners lie on multiples of 60 m.

All Sentinel-2 tiles have their corners on multiples of 60 m, so on this lattice bands of 10, 20 and 60 m are cut
without resampling, whichever tile a pixel comes from.
"""

from typing import NamedTuple

LATTICE = 60
"""Metres. Corners of every chip are multiples of it."""

PIXEL = 10
"""Metres. The finest resolution, in which chip sizes are counted."""

CHIP_MULTIPLE = 24
"""Pixels. Chip sizes are multiples of it: a patch is 8 px and a 60 m pixel is 6 px."""


class Cell(NamedTuple):
    """The place of a chip: its CRS and its top left corner in metres, both multiples of `LATTICE`."""

    epsg: int
    left: int
    top: int

    def __str__(self) -> str:
        return f"{self.epsg}_{self.left}_{self.top}"

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """The cell that prints as `text`."""
        epsg, left, top = (int(part) for part in text.split("_"))
        return cls(epsg, left, top)

    def bounds(self, size: int) -> tuple[int, int, int, int]:
        """Left, bottom, right, top in metres of a chip of `size` pixels of 10 m."""
        return self.left, self.top - size * PIXEL, self.left + size * PIXEL, self.top

    def geobox(self, size: int, resolution: int = PIXEL) -> "GeoBox":
        """The pixel grid of a chip of `size` pixels of 10 m, at `resolution` metres."""
        pixels = size * PIXEL // resolution
        return GeoBox(self.epsg, self.left, self.top, resolution, pixels, pixels)


class GeoBox(NamedTuple):
    """A north-up pixel grid."""

    epsg: int
    left: float
    top: float
    resolution: float
    """Metres."""
    height: int
    """Pixels."""
    width: int
    """Pixels."""

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in metres."""
        return (
            self.left,
            self.top - self.height * self.resolution,
            self.left + self.width * self.resolution,
            self.top,
        )

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """Affine coefficients in rasterio's order: x = a·col + b·row + c, y = d·col + e·row + f."""
        return (self.resolution, 0.0, self.left, 0.0, -self.resolution, self.top)


def snap(metres: float, step: int = LATTICE) -> int:
    """The multiple of `step` nearest to `metres`; halves go up. Law: |snap(x) - x| <= step / 2."""
    return int((metres + step / 2) // step) * step


def align_down(metres: float, step: int = LATTICE) -> int:
    """`y` such that `y % step == 0` and `y <= metres < y + step`."""
    return int(metres // step) * step


def align_up(metres: float, step: int = LATTICE) -> int:
    """`y` such that `y % step == 0` and `y - step < metres <= y`."""
    return -align_down(-metres, step)


def check_chip_size(size: int) -> int:
    """`size` if it is a chip size.

    Raises:
        ValueError: it is not a positive multiple of 24.
    """
    if size <= 0 or size % CHIP_MULTIPLE:
        lower = max(size // CHIP_MULTIPLE, 1) * CHIP_MULTIPLE
        raise ValueError(
            f"a chip size is a multiple of {CHIP_MULTIPLE} px (60 m pixels and 8 px patches must fit): "
            f"{size} is not, {lower} and {lower + CHIP_MULTIPLE} are"
        )
    return size


def utm_epsg(longitude: float, latitude: float) -> int:
    """EPSG code of the UTM zone that holds a point given in degrees, with the exceptions of Norway and Svalbard."""
    longitude = (longitude + 180) % 360 - 180
    zone = int((longitude + 180) // 6) % 60 + 1
    if 56 <= latitude < 64 and 3 <= longitude < 12:
        zone = 32
    if 72 <= latitude < 84 and 0 <= longitude < 42:
        zone = 31 if longitude < 9 else 33 if longitude < 21 else 35 if longitude < 33 else 37
    return (32600 if latitude >= 0 else 32700) + zone
