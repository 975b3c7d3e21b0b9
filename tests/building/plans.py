"""Shard plans over small scenes made of real files."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.transform import Affine
from rasterio.warp import transform_bounds

from croma.building.shard_plan import ShardPlan
from croma.building.spec import Labels, Quality
from croma.catalog.scene import Scene
from croma.pairing import Pair
from tests.raster.scenes import (
    LEFT,
    SIZE,
    TOP,
    edit,
    make_pair,
    make_scene,
    write_optical,
    write_radar,
    write_tiff,
)


def make_scenes(folder: Path, count: int = 2) -> list[tuple[Scene, Scene]]:
    """Radar and optical scenes of one place, a day apart; the second optical one is half cloud and has an offset."""
    scenes = []
    for number in range(count):
        day = datetime(2021, 6, 23, 10, tzinfo=UTC) + timedelta(days=number)
        optical = write_optical(folder, f"S2-{number}", seed=number)
        if number == 1:
            edit(optical["SCL"], lambda pixels: pixels[:, 30:].fill(9))
        radar = write_radar(folder, f"S1-{number}", seed=number)
        scenes.append(
            (
                make_scene("radar", radar, f"S1-{number}", time=day - timedelta(hours=5), orbit_state="descending"),
                make_scene("optical", optical, f"S2-{number}", time=day, baseline=2.12, offset=-1000.0 * number),
            )
        )
    return scenes


def make_labels(folder: Path) -> list[Scene]:
    """Two tiles in degrees that meet in the middle of the scenes: class 10 in the west, 30 and 40 in the east."""
    west, south, east, north = transform_bounds(
        "EPSG:32633", "EPSG:4326", LEFT - 200, TOP - 1400, LEFT + 1400, TOP + 200
    )
    middle, step = (west + east) / 2, (east - west) / 400
    tiles = []
    for name, left in [("W", middle - 250 * step), ("E", middle)]:
        codes = np.full((400, 250), 10, np.uint8)
        if name == "E":
            codes[:] = np.where(np.arange(400) < 200, 30, 40)[:, None]
        path = write_tiff(
            folder / "labels" / f"{name}.tif",
            codes,
            epsg=4326,
            nodata=0,
            transform=Affine(step, 0, left, 0, -(north - south) / 400, north),
        )
        tiles.append(make_scene("label", {"label": path}, f"tile-{name}"))
    return tiles


def make_plan(
    scenes: Sequence[tuple[Scene, Scene]],
    places: Sequence[tuple[int, int]] = ((0, 0), (6, 0), (12, 0), (0, 6), (6, 6), (12, 6)),
    labels: Sequence[Scene] = (),
    **fields: Any,
) -> ShardPlan:
    """A pair for every place and every two scenes, in an order that jumps between scenes."""
    names = [scene.id for scene in labels]
    pairs: list[Pair] = [
        make_pair(radar, optical, column, row, names) for column, row in places for radar, optical in scenes
    ]
    everything = [scene for both in scenes for scene in both] + list(labels)
    plan: dict[str, Any] = {
        "split": "train",
        "chip_size": SIZE,
        "quality": Quality(max_cloud=0.4),
        "labels": Labels() if labels else None,
        "pairs": tuple(pairs),
        "scenes": tuple(sorted(everything, key=lambda scene: (scene.collection, scene.id))),
    }
    return ShardPlan(**plan | fields)


def refused(plan: ShardPlan) -> ShardPlan:
    """The pairs of a plan that lie under the cloud of the second scene, every one of which is refused."""
    pairs = [pair for pair in plan.pairs if pair.optical == "S2-1" and pair.cell.left > LEFT + 600]
    return ShardPlan.model_validate(plan.model_dump() | {"pairs": pairs, "quality": Quality(max_cloud=0)})
