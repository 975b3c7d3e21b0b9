"""The scenes of a build: what the catalog holds of each sensor and of the label layer."""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from croma.building.spec import BuildSpec, Labels, Stratified
from croma.catalog.dialects import Dialect
from croma.catalog.find import find
from croma.catalog.found import Found
from croma.catalog.scene import Refusal, Scene
from croma.catalog.search import PATIENT, Patience
from croma.extent import TimeWindow


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """Scenes by what they are for."""

    optical: tuple[Scene, ...]
    radar: tuple[Scene, ...]
    labels: tuple[Scene, ...]
    layer: tuple[Scene, ...]
    """Land cover that decides where chips lie; empty where the recipe does not ask for it."""
    refused: tuple[Refusal, ...]
    """Items that cannot be used."""


def gather(spec: BuildSpec, address: str, dialect: Dialect, patience: Patience = PATIENT) -> Gathered:
    """Search a catalog for everything that `spec` needs.

    Radar is searched so much before and after the window as a pair may lie apart; label layers at any time.

    Raises:
        InputError: the catalog cannot be reached, lacks a collection, or refuses a request.
        TransientError: the catalog fails, every time it is asked.
    """

    def look_for(collection: str, window: TimeWindow | None, label_asset: str | None = None) -> Found:
        return find(address, dialect, collection, spec.area, window, label_asset=label_asset, patience=patience)

    def look_at(layer: Labels | None) -> Found:
        return look_for(layer.collection, None, layer.asset) if layer else Found(scenes=(), refused=())

    days = timedelta(days=ceil(spec.pair.max_gap_hours / 24))
    around = TimeWindow(start=spec.window.start - days, end=spec.window.end + days)
    optical = look_for(spec.optical, spec.window)
    radar = look_for(spec.radar, around)
    labels = look_at(spec.labels)
    wanted = spec.placement.layer if isinstance(spec.placement, Stratified) else None
    layer = labels if wanted == spec.labels else look_at(wanted)
    return Gathered(
        optical=optical.scenes,
        radar=radar.scenes,
        labels=labels.scenes,
        layer=layer.scenes,
        refused=optical.refused + radar.refused + labels.refused,
    )
