"""From a pass over a world to files and items: one job for each tile or scene, none needing another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from croma.grid import GeoBox
from croma.sensors import SENTINEL_2_L2A
from croma.simulate.cog import write_cog
from croma.simulate.frame import Column, Frame, Tile
from croma.simulate.ground import Land
from croma.simulate.items import OpticalNames, RadarNames, optical_item, radar_item
from croma.simulate.mosaic import Lands, gather
from croma.simulate.optics import Camera
from croma.simulate.radar import NODATA, Antenna
from croma.simulate.sky import Relief
from croma.simulate.spec import OpticalPass, RadarPass
from croma.simulate.swath import Swath, geojson

Item = dict[str, Any]
Job = Callable[[], Item | None]

STALE = (-1230, 340)
"""Metres east and north by which a stale transform is off."""


@dataclass(frozen=True, slots=True)
class Studio:
    """All that making a scene takes."""

    frame: Frame
    relief: Relief
    lands: Lands
    folder: Path

    def jobs(self) -> Iterator[Job]:
        """Everything there is to make; each job writes the files of one item and returns it."""
        for optical in self.frame.spec.optical:
            yield from self._optical_jobs(optical)
        for radar in self.frame.spec.radar:
            yield from self._radar_jobs(radar)

    def _optical_jobs(self, scene: OpticalPass) -> Iterator[Job]:
        tiles = self.frame.tiles()
        swath = Swath.covering(scene.covered, self.frame, [tile.box for tile in tiles], "descending")
        camera = Camera.over(self.frame, scene, self.relief)
        for tile in tiles[: scene.tiles]:
            yield partial(self._optical, camera, swath, tile)

    def _optical(self, camera: Camera, swath: Swath, tile: Tile) -> Item | None:
        footprint = swath.footprint(self.frame, tile.box)
        if footprint is None:
            return None
        seen = camera.look(self.lands[tile.column].window(tile.box), swath.inside(self.frame, tile.box))
        names = OpticalNames(scene=camera.scene, tile=tile.name)
        for band in SENTINEL_2_L2A.bands:
            box = _coarser(tile.box, band.resolution)
            path = self.folder / names.href(band.name, band.resolution)
            # Planetary Computer's files do not declare 0 as nodata, and neither do these.
            write_cog(path, seen.bands[band.name], epsg=box.epsg, transform=box.transform, nodata=None)
        box = _coarser(tile.box, 20)
        write_cog(
            self.folder / names.href("SCL", 20), seen.classes, epsg=box.epsg, transform=box.transform, nodata=None
        )
        sun = camera.sky.sun.zenith, camera.sky.sun.azimuth
        return optical_item(names, tile.box, geojson(footprint, tile.box.epsg), seen.classes, sun)

    def _radar_jobs(self, scene: RadarPass) -> Iterator[Job]:
        boxes = radar_boxes(self.frame, scene)
        for number, box in enumerate(boxes, 1):
            yield partial(self._radar, scene, box, number, len(boxes))

    def _radar(self, scene: RadarPass, box: GeoBox, number: int, total: int) -> Item | None:
        swath = Swath.covering(scene.covered, self.frame, [box], scene.orbit_state)
        limits = [land.box for land in self.lands.values()] if scene.frames == "wide" else None
        footprint = swath.footprint(self.frame, box, limits)
        if footprint is None:
            return None
        land, known = self._under(scene, box)
        known &= swath.inside(self.frame, box)
        border = ~Swath.covering(1 - scene.zero_filled, self.frame, [box], scene.orbit_state).inside(self.frame, box)
        antenna, names = Antenna.over(self.frame, scene), RadarNames(scene=scene, slice_number=number)
        sizes = {}
        for channel in (polarization.lower() for polarization in scene.polarizations):
            power = antenna.listen(land, channel)
            power[border] = 0
            power[~known] = NODATA
            path = self.folder / names.href(channel)
            write_cog(path, power, epsg=box.epsg, transform=box.transform, nodata=NODATA)
            sizes[channel] = path.stat().st_size
        told = box._replace(left=box.left + STALE[0], top=box.top + STALE[1]) if scene.stale_transform else box
        return radar_item(names, told, geojson(footprint, box.epsg), sizes, total)

    def _under(self, scene: RadarPass, box: GeoBox) -> tuple[Land, Any]:
        if scene.frames == "wide":
            return gather(self.lands, box)
        column: Column = "west" if box.epsg == self.frame.west else "east"
        return self.lands[column].window(box), np.ones((box.height, box.width), bool)


def radar_boxes(frame: Frame, scene: RadarPass) -> list[GeoBox]:
    """The grids of the scenes of a radar pass: on multiples of 10 m, off those of 60 m."""
    if scene.frames == "wide":
        return [frame.wide_box()]
    boxes = {column: _trimmed(frame.ground_box(column)) for column in ("west", "east")}
    if scene.frames == "each zone":
        return list(boxes.values())
    box = boxes[scene.frames]
    return [box._replace(height=box.height // frame.spec.rows)]


def _trimmed(box: GeoBox) -> GeoBox:
    """`box` less a few pixels on each side."""
    return box._replace(left=box.left + 130, top=box.top - 70, height=box.height - 16, width=box.width - 20)


def _coarser(box: GeoBox, resolution: int) -> GeoBox:
    factor = resolution // 10
    return box._replace(resolution=resolution, height=box.height // factor, width=box.width // factor)
