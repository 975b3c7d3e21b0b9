"""How catalogs name the same things: collections, asset keys, page sizes. Items end here and become scenes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from croma.catalog import items
from croma.catalog.footprint import in_degrees
from croma.catalog.items import MASK
from croma.catalog.scene import Asset, Refusal, Scene
from croma.errors import InputError, UnusableError
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A, Sensor

T = TypeVar("T")

SENSORS: Mapping[str, Sensor] = MappingProxyType({s.name: s for s in (SENTINEL_1_RTC, SENTINEL_2_L2A)})

_PLAIN = {band.name: (band.name,) for band in SENTINEL_2_L2A.bands} | {MASK: (MASK,)}
_COMMON = {
    "B01": ("coastal",),
    "B02": ("blue",),
    "B03": ("green",),
    "B04": ("red",),
    "B05": ("rededge1",),
    "B06": ("rededge2",),
    "B07": ("rededge3",),
    "B08": ("nir",),
    "B8A": ("nir08",),
    "B09": ("nir09",),
    "B11": ("swir16",),
    "B12": ("swir22",),
    MASK: ("scl",),
}
_RESOLUTION = {band.name: (f"{band.name}_{band.resolution}m",) for band in SENTINEL_2_L2A.bands} | {MASK: ("SCL_20m",)}
_ANY = {name: _PLAIN[name] + _COMMON[name] + _RESOLUTION[name] for name in _PLAIN}
_RADAR = {band.name: (band.name, band.name.upper()) for band in SENTINEL_1_RTC.bands}


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """A catalog's words for what we look for."""

    name: str
    collections: Mapping[str, str]
    """The catalog's collection for each of our sensors that it has."""
    keys: Mapping[str, Mapping[str, tuple[str, ...]]]
    """By sensor and band: the asset keys it may have, the first one found is taken."""
    hosts: tuple[str, ...] = ()
    """Hosts that speak this dialect."""
    page_size: int = 250
    """Items a page."""
    requests_per_second: float = math.inf
    """To the catalog, from one machine."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """By sensor: why the catalog has none, and what to do."""

    def collection(self, name: str) -> str:
        """The catalog's id of one of our sensors' collections; other names (label layers) are used as they are.

        Raises:
            InputError: the catalog does not have this sensor.
        """
        if name in self.collections:
            return self.collections[name]
        if name in SENSORS:
            raise InputError(f"the catalog dialect {self.name!r} has no {name}: {self.absent[name]}")
        return name

    def scene(self, item: dict[str, Any], name: str, label_asset: str | None = None) -> Scene | Refusal:
        """A raw STAC item as a scene, or why it cannot be one.

        Args:
            item: the item as parsed JSON, not yet migrated by any library.
            name: the sensor's name, or the collection of a label layer.
            label_asset: key of the asset that holds the labels; None for sensors.
        """
        identity = {"id": str(item.get("id")), "collection": str(item.get("collection") or name)}
        wanted = self.keys[name] if label_asset is None else {"label": (label_asset,)}
        given: dict[str, Any] = item.get("assets") or {}
        found = {band: next((given[key] for key in keys if key in given), None) for band, keys in wanted.items()}
        missing = sorted(band for band, asset in found.items() if asset is None and band != MASK)
        if missing:
            has = ", ".join(sorted(given)) or "none"
            return _refusal(identity, "no-asset", f"no asset for {', '.join(missing)}; its assets: {has}")
        try:
            return _scene(item, identity, SENSORS.get(name), {k: v for k, v in found.items() if v is not None})
        except _ItemError as error:
            return _refusal(identity, error.reason, str(error))


class _ItemError(UnusableError):
    """An item with a fault, and the word to count it by."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _refusal(identity: dict[str, str], reason: str, detail: str) -> Refusal:
    return Refusal(scene=identity["id"], collection=identity["collection"], reason=reason, detail=detail)


def _scene(item: dict[str, Any], identity: dict[str, str], sensor: Sensor | None, found: dict[str, Any]) -> Scene:
    properties: dict[str, Any] = item.get("properties") or {}
    bands = [asset for band, asset in found.items() if band != MASK]
    optical = sensor is not None and sensor.role == "optical"
    number = items.baseline(properties) if optical else None
    offset, doubt = items.offset(properties, number, bands) if optical else (0.0, False)
    platform, cloud = properties.get("platform"), properties.get("eo:cloud_cover")
    return Scene(
        id=identity["id"],
        collection=identity["collection"],
        role=sensor.role if sensor else None,
        time=_read("time", items.sensing_time, properties),
        geometry=_footprint(item),
        epsg=items.epsg(properties, bands),
        assets={
            band: Asset(href=_read("no-asset", items.address, asset, item), offset=0.0 if band == MASK else offset)
            for band, asset in found.items()
        },
        platform=platform.lower() if platform else None,
        orbit_state=properties.get("sat:orbit_state"),
        relative_orbit=properties.get("sat:relative_orbit"),
        tile=items.tile(properties),
        datatake=items.datatake(properties),
        baseline=number,
        offset_in_doubt=doubt,
        cloud_cover=None if cloud is None else float(cloud),
        mode=properties.get("sar:instrument_mode"),
        polarizations=tuple(properties.get("sar:polarizations") or ()),
        timeliness=properties.get("s1:product_timeliness"),
        orbit_source=properties.get("s1:orbit_source"),
        produced=_read("time", items.produced, properties),
        product=properties.get("s2:product_uri") or properties.get("source:product"),
    )


def _footprint(item: dict[str, Any]) -> dict[str, Any]:
    geometry = item.get("geometry")
    if not isinstance(geometry, dict):
        raise _ItemError("footprint", "no geometry")
    _read("footprint", in_degrees, geometry)
    return geometry


def _read(reason: str, function: Callable[..., T], *args: Any) -> T:
    try:
        return function(*args)
    except UnusableError as error:
        raise _ItemError(reason, str(error)) from None


_NO_RTC = (
    "its radar is not terrain-corrected, so it does not lie on the optical grid. "
    "Take radar from a catalog that has sentinel-1-rtc, such as Planetary Computer"
)

PLANETARY_COMPUTER = Dialect(
    name="planetary-computer",
    collections={"sentinel-2-l2a": "sentinel-2-l2a", "sentinel-1-rtc": "sentinel-1-rtc"},
    keys={"sentinel-2-l2a": _PLAIN, "sentinel-1-rtc": _RADAR},
    hosts=("planetarycomputer.microsoft.com",),
    requests_per_second=4.0,  # it publishes no limit, and bans who asks too much
)

EARTH_SEARCH = Dialect(
    name="earth-search",
    collections={"sentinel-2-l2a": "sentinel-2-l2a"},
    keys={"sentinel-2-l2a": _COMMON},
    hosts=("earth-search.aws.element84.com",),
    requests_per_second=5.0,
    page_size=100,  # its items are large and its answers are capped at a few megabytes
    absent={"sentinel-1-rtc": _NO_RTC},
)

EARTH_SEARCH_C1 = Dialect(
    name="earth-search-c1",
    collections={"sentinel-2-l2a": "sentinel-2-c1-l2a"},
    keys={"sentinel-2-l2a": _COMMON},
    page_size=100,
    requests_per_second=5.0,
    absent={"sentinel-1-rtc": _NO_RTC},
)

CDSE = Dialect(
    name="cdse",
    collections={"sentinel-2-l2a": "sentinel-2-l2a"},
    keys={"sentinel-2-l2a": _RESOLUTION},
    hosts=("stac.dataspace.copernicus.eu",),
    page_size=100,
    requests_per_second=4.0,  # more than 5 are answered 429
    absent={"sentinel-1-rtc": _NO_RTC},
)

GENERIC = Dialect(
    name="generic",
    collections={"sentinel-2-l2a": "sentinel-2-l2a", "sentinel-1-rtc": "sentinel-1-rtc"},
    keys={"sentinel-2-l2a": _ANY, "sentinel-1-rtc": _RADAR},
)

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {dialect.name: dialect for dialect in (PLANETARY_COMPUTER, EARTH_SEARCH, EARTH_SEARCH_C1, CDSE, GENERIC)}
)


ADDRESSES: Mapping[str, str] = MappingProxyType(
    {
        "planetary-computer": "https://planetarycomputer.microsoft.com/api/stac/v1",
        "earth-search": "https://earth-search.aws.element84.com/v1",
        "cdse": "https://stac.dataspace.copernicus.eu/v1",
    }
)
"""Catalogs that are known by name."""


def is_snapshot(address: str) -> bool:
    """Whether an address names stac-geoparquet (`croma.catalog.snapshot`) rather than a STAC API."""
    return address.rstrip("/").endswith((".parquet", ".geoparquet"))


def address_of(catalog: str) -> str:
    """The address of a catalog given by its name or its address: a STAC API, or a snapshot of one.

    Raises:
        InputError: it is neither.
    """
    if catalog in ADDRESSES:
        return ADDRESSES[catalog]
    if urlsplit(catalog).scheme not in ("http", "https") and not is_snapshot(catalog):
        known = ", ".join(ADDRESSES)
        raise InputError(
            f"catalog {catalog!r}: expected the address of a STAC API (http…), of stac-geoparquet (….parquet) "
            f"or one of {known}"
        )
    return catalog


def catalog_name(catalog: str) -> str:
    """What a catalog is called in provenance: its host, or the name of its file. Holds no credential."""
    address = address_of(catalog)
    return (urlsplit(address).hostname or "") if not is_snapshot(address) else address.rstrip("/").rpartition("/")[2]


def dialect_for(address: str, name: str | None = None) -> Dialect:
    """The dialect called `name`; without a name, the one that the host of `address` speaks, else `GENERIC`.

    Raises:
        InputError: no dialect has this name.
    """
    if name is not None:
        if name not in DIALECTS:
            raise InputError(f"no catalog dialect {name!r}: choose one of {', '.join(DIALECTS)}")
        return DIALECTS[name]
    host = urlsplit(address).hostname or ""
    return next((dialect for dialect in DIALECTS.values() if host in dialect.hosts), GENERIC)
