"""Finding scenes in a catalog, whatever kind it is: a STAC API, or a snapshot of one."""

from croma.catalog.dialects import Dialect, is_snapshot
from croma.catalog.found import Found
from croma.catalog.search import PATIENT, Patience, search
from croma.catalog.snapshot import search_snapshot
from croma.extent import AreaOfInterest, TimeWindow


def find(
    address: str,
    dialect: Dialect,
    collection: str,
    area: AreaOfInterest,
    window: TimeWindow | None,
    *,
    label_asset: str | None = None,
    patience: Patience = PATIENT,
) -> Found:
    """Every scene of a collection whose footprint meets `area` and whose time lies in `window`.

    Args:
        address: of a STAC API, or of stac-geoparquet (`croma.catalog.snapshot`).
        dialect: the catalog's words.
        collection: a sensor's name, or the id of a label layer's collection.
        area: where.
        window: when; None for any time.
        label_asset: key of the asset that holds the labels; None for sensors.
        patience: time-outs and retries of a STAC API.

    Raises:
        InputError: the address is wrong, the catalog lacks the collection or refuses the request.
        TransientError: the catalog fails, every time it is asked.
    """
    if is_snapshot(address):
        return search_snapshot(address, dialect, collection, area, window, label_asset=label_asset)
    return search(address, dialect, collection, area, window, label_asset=label_asset, patience=patience)
