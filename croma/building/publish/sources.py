"""Licences of what datasets are made of, and what whoever passes pixels on must say."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

_LEGAL = "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice"


class Source(NamedTuple):
    """A collection that pixels come from."""

    title: str
    provider: str
    page: str
    """About the collection."""
    licence: str
    """Its name; an SPDX identifier where it has one."""
    terms: str
    """Where the licence is."""
    attribution: str
    """`{years}` stands for the years of the acquisitions."""


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "sentinel-2-l2a": Source(
            "Sentinel-2 Level-2A",
            "European Space Agency",
            "https://sentinels.copernicus.eu/copernicus/sentinel-2",
            "Copernicus Sentinel data terms",
            _LEGAL,
            "Contains modified Copernicus Sentinel data {years}.",
        ),
        "sentinel-1-rtc": Source(
            "Sentinel-1 radiometrically terrain corrected",
            "European Space Agency; terrain correction by Catalyst",
            "https://planetarycomputer.microsoft.com/dataset/sentinel-1-rtc",
            "CC-BY-4.0",
            "https://creativecommons.org/licenses/by/4.0/",
            "Contains modified Copernicus Sentinel data {years}, radiometrically terrain corrected by Catalyst.",
        ),
        "esa-worldcover": Source(
            "ESA WorldCover",
            "European Space Agency",
            "https://esa-worldcover.org",
            "CC-BY-4.0",
            "https://creativecommons.org/licenses/by/4.0/",
            "© ESA WorldCover project. Contains modified Copernicus Sentinel data processed by the ESA WorldCover "
            "consortium.",
        ),
        "io-lulc-annual-v02": Source(
            "Esri 10-metre annual land cover",
            "Impact Observatory, Microsoft and Esri",
            "https://planetarycomputer.microsoft.com/dataset/io-lulc-annual-v02",
            "CC-BY-4.0",
            "https://creativecommons.org/licenses/by/4.0/",
            "Land cover by Impact Observatory, Microsoft and Esri.",
        ),
    }
)


def sources_of(collections: Iterable[str]) -> tuple[Source, ...]:
    """What is known of each collection; of one that nobody knows, that its licence must be asked for."""
    return tuple(SOURCES.get(name) or _unknown(name) for name in collections)


def years(first: int, last: int) -> str:
    """A year or a span of years."""
    return str(first) if first == last else f"{first} to {last}"


def _unknown(name: str) -> Source:
    asked = "not known to this program: ask the provider"
    return Source(name, "unknown", "", asked, "", f"Pixels of the collection {name}.")
