"""Making a world: the ground, every scene over it, its map, and the catalog that lists them."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from croma.document import Document, digest
from croma.errors import InputError
from croma.simulate.collections import collections
from croma.simulate.frame import Column, Frame
from croma.simulate.ground import Ground, Land
from croma.simulate.landcover import write_maps
from croma.simulate.scenes import Studio
from croma.simulate.server import COLLECTIONS, ITEMS, serve
from croma.simulate.sky import Relief
from croma.simulate.spec import DEMO, WorldSpec

LOG = logging.getLogger(__name__)

MARKER = "world.json"

Progress = Callable[[int, int], None]
"""Told after each step how many are done, and of how many."""


class Marker(Document):
    """Written last: a folder that has it holds a whole world."""

    edition: str
    """Of the code that made it."""
    spec: WorldSpec
    scenes: int
    bytes: int


@dataclass(frozen=True, slots=True)
class World:
    """A world on disk: `items.json`, `collections/`, and the files they name."""

    folder: Path
    spec: WorldSpec

    @property
    def items(self) -> list[dict[str, Any]]:
        """All items, with asset addresses relative to the folder."""
        return list(json.loads((self.folder / ITEMS).read_text())["features"])

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """West, south, east, north of all Sentinel-2 tiles, degrees."""
        boxes = list(zip(*(item["bbox"] for item in self.items if "s2:mgrs_tile" in item["properties"]), strict=True))
        return min(boxes[0]), min(boxes[1]), max(boxes[2]), max(boxes[3])

    @contextmanager
    def serve(self, port: int | None = None) -> Iterator[str]:
        """The address of a STAC API over this world."""
        with serve(self.folder, port=port) as url:
            yield url


def build_world(
    spec: WorldSpec = DEMO, folder: Path = Path("world"), *, workers: int = 2, progress: Progress | None = None
) -> World:
    """The world of `spec` in `folder`: made there if it is not there yet.

    The folder appears whole or not at all. An older world in it is replaced.

    Args:
        spec: What to make.
        folder: Holds nothing but this world.
        workers: Threads; each takes up to 400 MB at the demo's size.
        progress: Called after each scene.

    Raises:
        InputError: `folder` holds something that is not a world.
    """
    if _is_current(folder, spec):
        return World(folder, spec)
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise InputError(f"{folder}: exists and is not a simulated world; name another folder or empty this one")
    partial = folder.with_name(f"{folder.name}.part-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _fill(spec, partial, workers, progress)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return World(folder, spec)


@cache
def edition() -> str:
    """Identity of the code that makes worlds: other code may make other files of the same spec."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return digest([hashlib.sha256(source.read_bytes()).hexdigest() for source in sources])


def fingerprint(spec: WorldSpec) -> str:
    """Names a world: equal for equal files."""
    return digest([edition(), spec.model_dump(mode="json")])


def _is_current(folder: Path, spec: WorldSpec) -> bool:
    try:
        marker = json.loads((folder / MARKER).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return False
    return bool(marker.get("edition") == edition() and marker.get("spec") == spec.model_dump(mode="json"))


def _fill(spec: WorldSpec, folder: Path, workers: int, progress: Progress | None) -> None:
    frame = Frame(spec)
    ground = Ground(frame)
    with ThreadPoolExecutor(workers, thread_name_prefix="world") as pool:
        columns: tuple[Column, ...] = ("west", "east")
        lands: dict[Column, Land] = dict(
            zip(columns, pool.map(lambda column: ground.land(frame.ground_box(column)), columns), strict=True)
        )
        maps = pool.submit(write_maps, lands, folder)
        futures = [pool.submit(job) for job in Studio(frame, Relief(spec.seed), lands, folder).jobs()]
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            if progress:
                progress(done, len(futures))
    items = [item for item in (future.result() for future in futures) if item is not None] + maps.result()
    _write_catalog(folder, items)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    marker = Marker(edition=edition(), spec=spec, scenes=len(items), bytes=size)
    (folder / MARKER).write_bytes(marker.to_json())
    LOG.info("world of %d items, %.0f MB, in %s", len(items), size / 1e6, folder)


def _write_catalog(folder: Path, items: list[dict[str, Any]]) -> None:
    (folder / COLLECTIONS).mkdir()
    for collection in collections(items):
        path = folder / COLLECTIONS / f"{collection['id']}.json"
        path.write_text(json.dumps(collection, indent=1, sort_keys=True) + "\n")
    catalog = {"type": "FeatureCollection", "features": items}
    (folder / ITEMS).write_text(json.dumps(catalog, indent=1, sort_keys=True) + "\n")
