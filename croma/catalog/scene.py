"""What we keep of a STAC item: enough to pair, to cut and to say where a pixel came from. Never a signed address."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from croma.document import Document
from croma.sensors import Role


class Asset(Document):
    """One file of a scene."""

    href: str
    """Unsigned address: https, s3, or a local path."""
    scale: float = 1.0
    offset: float = 0.0
    """Physical value = number × scale + offset, in the stored unit of the sensor (reflectance × 10,000, linear power).

    The offset is the provider's answer for this product (−1000 for processing baseline 04.00 and later), decided by the
    dialect; 0 where the provider already removed it, and for masks.
    """


class Scene(Document):
    """One acquisition of one sensor, or one tile of a label layer."""

    id: str
    collection: str
    role: Role | None
    """None for label layers."""
    time: datetime
    """Sensing time, UTC."""
    geometry: dict[str, Any]
    """The real footprint as GeoJSON in longitude and latitude, not the bounding box."""
    epsg: int | None
    """CRS of the files; None where the item does not say: then the file does."""
    assets: dict[str, Asset]
    """By our band name (`croma.sensors`), plus `SCL` for the scene classification, or `label`."""
    platform: str | None = None
    """In lower case: sentinel-2a, sentinel-1a; catalogs disagree on the spelling."""
    orbit_state: str | None = None
    relative_orbit: int | None = None
    tile: str | None = None
    """MGRS tile."""
    datatake: str | None = None
    """The provider's name of the acquisition, without the processing baseline."""
    baseline: float | None = None
    """Processing baseline of Sentinel-2 as a number: 5.1 for "05.10". None where the item does not say."""
    offset_in_doubt: bool = False
    """The item contradicts itself about whether the offset was removed already: the assets' offset follows its flag,
    the other of 0 and -1000 may be true, and only the pixels can tell."""
    cloud_cover: float | None = None
    """Percent of the whole scene."""
    mode: str | None = None
    """Radar instrument mode: IW."""
    polarizations: tuple[str, ...] = ()
    timeliness: str | None = None
    """How soon the radar product was made: NRT-3h, Fast-24h, Off-line; the later, the better its orbit."""
    orbit_source: str | None = None
    """Orbit file of the radar product: PREORB (predicted), RESORB (restituted), POEORB (precise)."""
    produced: datetime | None = None
    """When the product was generated: of duplicates the newest wins."""
    product: str | None = None
    """The provider's product name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """An item or a scene that is not used, and why. A value, not an error: it is counted and kept in the ledger."""

    scene: str
    """Id of the item."""
    collection: str
    reason: str
    """A short fixed word, to count by: no-asset, footprint, time, mode, cloud …"""
    detail: str
    """What is wrong with it, or what was measured."""
