"""Names of land-cover codes, by the collection that a label layer comes from."""

from collections.abc import Iterable, Mapping

from croma.shards.dataset import Header

NAMES: Mapping[str, Mapping[int, str]] = {
    # ESA WorldCover product user manual 2.0, table 1.
    "esa-worldcover": {
        10: "tree cover",
        20: "shrubland",
        30: "grassland",
        40: "cropland",
        50: "built-up",
        60: "bare or sparse",
        70: "snow and ice",
        80: "water",
        90: "wetland",
        95: "mangroves",
        100: "moss and lichen",
    },
    # Planetary Computer, io-lulc-annual-v02, `file:values`.
    "io-lulc-annual-v02": {
        1: "water",
        2: "trees",
        4: "flooded vegetation",
        5: "crops",
        7: "built area",
        8: "bare ground",
        9: "snow and ice",
        10: "clouds",
        11: "rangeland",
    },
}


def class_names(sources: Iterable[str], codes: Iterable[int]) -> tuple[str, ...]:
    """A name for each code, after the first collection of `sources` that is known; `class 7` where none is."""
    known = next((NAMES[source] for source in sources if source in NAMES), {})
    return tuple(known.get(code, f"class {code}") for code in codes)


def names_of(header: Header, codes: Iterable[int]) -> tuple[str, ...]:
    """A name for each code of a dataset: its own, or that of the collection its labels come from."""
    wanted = tuple(codes)
    named = class_names(header.sources, wanted)
    return tuple(header.classes.get(code, name) for code, name in zip(wanted, named, strict=True))
