"""What a search found, made of raw items: the same whichever way they came."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from croma.catalog.dialects import Dialect
from croma.catalog.query import matches
from croma.catalog.scene import Refusal, Scene
from croma.extent import TimeWindow

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a search found. The same on every server that holds the same items."""

    scenes: tuple[Scene, ...]
    """Sorted by time, then id."""
    refused: tuple[Refusal, ...]
    """Items that match but cannot be used, sorted by id."""


def from_items(
    items: Iterable[dict[str, Any]],
    dialect: Dialect,
    collection: str,
    area: BaseGeometry,
    window: TimeWindow | None,
    label_asset: str | None,
) -> Found:
    """The items that are what was asked for, as scenes.

    Args:
        items: raw; each id once.
        dialect: the catalog's words.
        collection: a sensor's name, or the collection of a label layer.
        area: in degrees.
        window: None for any time.
        label_asset: key of the asset that holds the labels; None for sensors.
    """
    name = dialect.collection(collection)
    shapely.prepare(area)
    given = list(items)
    matching = [item for item in given if matches(item, name, area, window)]
    logger.info("%d items of %s came, %d of them match", len(given), name, len(matching))
    results = [dialect.scene(item, collection, label_asset) for item in matching]
    return Found(
        scenes=tuple(sorted((r for r in results if isinstance(r, Scene)), key=lambda s: (s.time, s.id))),
        refused=tuple(sorted((r for r in results if isinstance(r, Refusal)), key=lambda r: r.scene)),
    )
