"""What we keep of a STAC item: enough to pair, to cut and to say where a pixel came from. Never a signed address."""

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
    orbit_state: str | None = None
    relative_orbit: int | None = None
    tile: str | None = None
    """MGRS tile."""
    datatake: str | None = None
    baseline: float | None = None
    """Processing baseline of Sentinel-2 as a number: 5.1 for "05.10". None where the item does not say."""
    cloud_cover: float | None = None
    """Percent of the whole scene."""
    mode: str | None = None
    """Radar instrument mode: IW."""
    polarizations: tuple[str, ...] = ()
    produced: datetime | None = None
    """When the product was generated: of duplicates the newest wins."""
    product: str | None = None
    """The provider's product name."""
