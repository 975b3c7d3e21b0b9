"""Reading raw STAC items: the spellings in which catalogs say the same things. No third-party objects, only dicts."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit, urlunsplit

from croma.catalog.scene import Scene
from croma.errors import UnusableError

Json = dict[str, Any]

MASK = "SCL"
"""Our name of Sentinel-2's scene classification: wanted, not needed, and no reflectance."""

OFFSET_SINCE = 4.0
"""Processing baseline from which Sentinel-2 numbers carry +1000: for every product of it, whatever its sensing date."""

BOA_OFFSET = -1000.0


def sensing_time(properties: Json) -> datetime:
    """`datetime`, or the middle of `start_datetime` and `end_datetime` where an item has only those (label layers).

    Raises:
        UnusableError: no time, or one that is not ISO 8601.
    """
    if properties.get("datetime"):
        return parse_time(properties["datetime"])
    if properties.get("start_datetime") and properties.get("end_datetime"):
        start, end = parse_time(properties["start_datetime"]), parse_time(properties["end_datetime"])
        return start + (end - start) / 2
    raise UnusableError("no datetime, nor start_datetime with end_datetime")


def parse_time(text: str) -> datetime:
    """ISO 8601 in UTC; a space for the T (Planetary Computer's radar) and a missing zone (taken as UTC) are allowed.

    Raises:
        UnusableError: anything else.
    """
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise UnusableError(f"{text!r} is not a time in ISO 8601") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def baseline(properties: Json) -> float | None:
    """Processing baseline as a number, from the item or from the product's name; None where neither says."""
    for key in ("s2:processing_baseline", "processing:version"):
        try:
            return float(properties[key])
        except (KeyError, TypeError, ValueError):
            continue
    for key in ("s2:product_uri", "sentinel:product_id"):
        if match := re.search(r"_MSIL2A_\w+?_N(\d{2})(\d{2})_", str(properties.get(key, ""))):
            return float(f"{match[1]}.{match[2]}")
    return None


def boa_offset(number: float | None) -> float:
    """What to add to the numbers of a Sentinel-2 band of this processing baseline; 0 for an unknown one."""
    return BOA_OFFSET if number is not None and number >= OFFSET_SINCE else 0.0


def offset(properties: Json, number: float | None, assets: list[Json]) -> tuple[float, bool]:
    """What to add to the numbers of the item's bands, and whether the item contradicts itself about it.

    Decided from the processing baseline, never from the date. Earth Search removes the offset from some of its files
    and says so in a flag; where the bands' own offset denies the flag, the flag is followed and the doubt is told.
    """
    expected = boa_offset(number)
    removed = properties.get("earthsearch:boa_offset_applied")
    if removed is None or expected == 0.0:
        return expected, False
    stated = {band.get("offset", 0) for asset in assets for band in asset.get("raster:bands", [])}
    if removed:
        return 0.0, stated != {0} and bool(stated)
    return expected, stated == {0}


def assume_baseline(scene: Scene, number: float) -> Scene:
    """An optical scene whose item does not state its processing baseline, with the one that is assumed."""
    return _shifted(scene, boa_offset(number)).model_copy(update={"baseline": number})


def settle_offset(scene: Scene, left_in: bool) -> Scene:
    """An optical scene whose item contradicts itself about the offset, once it is known whether it is in the files."""
    return _shifted(scene, BOA_OFFSET if left_in else 0.0).model_copy(update={"offset_in_doubt": False})


def _shifted(scene: Scene, offset: float) -> Scene:
    assets = {k: a if k == MASK else a.model_copy(update={"offset": offset}) for k, a in scene.assets.items()}
    return scene.model_copy(update={"assets": assets})


def epsg(properties: Json, assets: list[Json]) -> int | None:
    """CRS of the files, from the item or else from its assets; None where nothing says or the assets differ."""
    codes = {_epsg(asset) for asset in assets if _epsg(asset) is not None}
    return _epsg(properties) or (codes.pop() if len(codes) == 1 else None)


def _epsg(holder: Json) -> int | None:
    if holder.get("proj:epsg"):
        return int(holder["proj:epsg"])
    match = re.fullmatch(r"EPSG:(\d+)", str(holder.get("proj:code", "")), re.IGNORECASE)
    return int(match[1]) if match else None


def tile(properties: Json) -> str | None:
    """MGRS tile: 33UUP."""
    if properties.get("s2:mgrs_tile"):
        return str(properties["s2:mgrs_tile"])
    if match := re.fullmatch(r"MGRS-(\w+)", str(properties.get("grid:code", ""))):
        return match[1].zfill(5)
    parts = [properties.get(f"mgrs:{part}") for part in ("utm_zone", "latitude_band", "grid_square")]
    return f"{int(parts[0]):02d}{parts[1]}{parts[2]}" if all(parts) and parts[0] is not None else None


def datatake(properties: Json) -> str | None:
    """The acquisition without the processing baseline that Sentinel-2's names end in; the orbit where it is unnamed."""
    for key in ("s2:datatake_id", "eopf:datatake_id", "s1:datatake_id"):
        if properties.get(key):
            return re.sub(r"_N\d\d\.\d\d$", "", str(properties[key]))
    orbit = properties.get("sat:absolute_orbit")
    return None if orbit is None else str(orbit)


def produced(properties: Json) -> datetime | None:
    """When the product was generated, where the item says it."""
    for key in ("s2:generation_time", "processing:datetime"):
        if properties.get(key):
            return parse_time(properties[key])
    return None


def address(asset: Json, item: Json) -> str:
    """The asset's unsigned address. Relative ones are resolved against the item's own.

    Raises:
        UnusableError: the asset has no address, or a relative one and the item has none.
    """
    href = str(asset.get("href") or "")
    if not href:
        raise UnusableError("an asset without href")
    if not urlsplit(href).scheme and not href.startswith("/"):
        itself = next((link["href"] for link in item.get("links", []) if link.get("rel") == "self"), None)
        if itself is None:
            raise UnusableError(f"the relative address {href} and no self link to resolve it against")
        href = urljoin(itself, href)
    return unsigned(href)


def unsigned(href: str) -> str:
    """`href` without a shared access signature, so that it can be stored and signed anew when it is read."""
    parts = urlsplit(href)
    signed = {"sig", "Signature", "X-Amz-Signature"} & set(parse_qs(parts.query))
    return urlunsplit(parts._replace(query="")) if signed else href
