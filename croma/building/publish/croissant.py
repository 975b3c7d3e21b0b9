"""A version as Croissant 1.0 metadata (JSON-LD): what machine-learning tools and data-set searches read.

Format: https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

from collections.abc import Mapping
from typing import Any

from croma.building.publish.items import PROPERTIES
from croma.building.publish.sources import sources_of
from croma.shards.dataset import Dataset
from croma.shards.delta import Version

Json = dict[str, Any]

CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the format prescribes."""

_TYPES = {
    "gap_hours": "sc:Float",
    "baseline": "sc:Float",
    "snow": "sc:Float",
    "optical_nodata": "sc:Float",
    "radar_nodata": "sc:Float",
    "resampled": "sc:Boolean",
    "label": "sc:Integer",
    "offset": "sc:Integer",
    "length": "sc:Integer",
    "crc32": "sc:Integer",
}
"""Of columns that are not text."""


def croissant(dataset: Dataset, version: Version, description: str, cite: str, items_sha256: str) -> Json:
    """The metadata of a version, to lie beside its `items.parquet`.

    Args:
        dataset: the version.
        version: its commit.
        description: of the dataset, in a paragraph.
        cite: the attribution.
        items_sha256: of `items.parquet`.
    """
    columns = {
        "id": ("id", "sc:Text", "id of the chip"),
        "datetime": ("datetime", "sc:Date", "time of the optical image"),
        **{name: (f"croma:{name}", _TYPES.get(name, "sc:Text"), meaning) for name, meaning in PROPERTIES.items()},
    }
    return {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": dataset.header.name,
        "description": description,
        "version": f"{version.number}.0.0",
        "datePublished": f"{version.time:%Y-%m-%dT%H:%M:%S}",
        "license": [source.terms or source.licence for source in sources_of(dataset.header.sources)],
        "url": "./",
        "citeAs": cite,
        "isLiveDataset": False,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "items.parquet",
                "name": "items.parquet",
                "description": "A row for every chip: where, when, of which scenes, how good, and where its bytes are.",
                "contentUrl": "items.parquet",
                "encodingFormat": "application/x-parquet",
                "sha256": items_sha256,
            },
            {
                "@type": "cr:FileSet",
                "@id": "shards",
                "name": "shards",
                "description": "Plain tars that any WebDataset client reads: a chip is the members s1.npy, s2_10m.npy, "
                "s2_20m.npy, s2_60m.npy, label.npy where there are labels, and json, of one name.",
                "encodingFormat": "application/x-tar",
                "includes": "../../shards/*/*.tar",
            },
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "chips",
                "name": "chips",
                "description": "Chips, one a row.",
                "key": {"@id": "chips/id"},
                "field": [_field(name, *about) for name, about in columns.items()],
            }
        ],
    }


def _field(name: str, column: str, kind: str, meaning: str) -> Json:
    return {
        "@type": "cr:Field",
        "@id": f"chips/{name}",
        "name": name,
        "description": meaning,
        "dataType": kind,
        "source": {"fileObject": {"@id": "items.parquet"}, "extract": {"column": column}},
    }
