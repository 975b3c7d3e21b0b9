"""The edge of a swath: which pixels lie inside it, and the footprint as catalogs tell it."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import Polygon, mapping

from croma.grid import GeoBox
from croma.simulate.frame import Frame, transformer
from croma.simulate.noise import enlarge

LEAN = 0.23
"""East per north of a ground track: satellites fly 13° off the meridian here."""


@dataclass(frozen=True, slots=True)
class Swath:
    """All east of the line x = `edge` + `slant` · y, in world metres; everything where `edge` is −infinity."""

    edge: float
    slant: float

    @classmethod
    def covering(
        cls, share: float, frame: Frame, boxes: list[GeoBox], heading: Literal["ascending", "descending"]
    ) -> Self:
        """A swath over the eastern `share` of the pixels of `boxes`."""
        slant = LEAN if heading == "descending" else -LEAN
        if share >= 1:
            return cls(-np.inf, slant)
        points = [frame.nodes(box, 64) for box in boxes]
        across = np.concatenate([(x - np.float32(slant) * y).ravel() for x, y in points])
        return cls(float(np.quantile(across, 1 - share)), slant)

    def inside(self, frame: Frame, box: GeoBox) -> npt.NDArray[np.bool_]:
        """Which pixels of `box` lie in the swath; shape (height, width)."""
        if np.isneginf(self.edge):
            return np.ones((box.height, box.width), bool)
        x, y = frame.nodes(box, 16)
        return enlarge(x - np.float32(self.edge) - np.float32(self.slant) * y, 16, box.height, box.width) >= 0

    def footprint(self, frame: Frame, box: GeoBox, limits: list[GeoBox] | None = None) -> Polygon | None:
        """Where `box` has data, in its own CRS; None where it has none.

        Args:
            frame: Of the world.
            box: The pixels of the file.
            limits: Data exist under these only; everywhere by default.
        """
        area = shapely.box(*box.bounds)
        if limits is not None:
            area &= shapely.union_all([_moved(shapely.box(*limit.bounds), limit.epsg, box.epsg) for limit in limits])
        if not np.isneginf(self.edge):
            area &= _moved(self._half_plane(frame), frame.east, box.epsg)
        return None if area.is_empty else area

    def _half_plane(self, frame: Frame) -> Polygon:
        far = 200_000.0
        x, y = frame.origin
        south, north = self.edge - self.slant * far, self.edge + self.slant * far
        corners = [(x + south, y - far), (x + far, y - far), (x + far, y + far), (x + north, y + far)]
        return shapely.segmentize(Polygon(corners), 2000.0)


def geojson(area: Polygon, epsg: int) -> dict[str, Any]:
    """`area` of a CRS as a GeoJSON geometry in longitude and latitude, to a tenth of a metre."""
    moved = _moved(shapely.segmentize(area, 10_000.0), epsg, 4326)
    listed: dict[str, Any] = _listed(mapping(shapely.set_precision(moved, 1e-6)))
    return listed


def _listed(geometry: Any) -> Any:
    """GeoJSON with lists where shapely has tuples."""
    if isinstance(geometry, dict):
        return {key: _listed(value) for key, value in geometry.items()}
    return [_listed(part) for part in geometry] if isinstance(geometry, (tuple, list)) else geometry


def _moved(area: Polygon, source: int, target: int) -> Polygon:
    if source == target:
        return area
    if target != 4326:
        area = shapely.segmentize(area, 2000.0)
    return shapely.transform(area, transformer(source, target).transform, interleaved=False)
