"""Names and colours of land-cover codes, by the collection that a label layer comes from."""

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


COLOURS: Mapping[str, Mapping[int, str]] = {
    # ESA WorldCover product user manual 2.0, table 1.
    "esa-worldcover": {
        10: "#006400",
        20: "#ffbb22",
        30: "#ffff4c",
        40: "#f096ff",
        50: "#fa0000",
        60: "#b4b4b4",
        70: "#f0f0f0",
        80: "#0064c8",
        90: "#0096a0",
        95: "#00cf75",
        100: "#fae6a0",
    },
    # Planetary Computer, io-lulc-annual-v02, `file:values` and the collection's colour map.
    "io-lulc-annual-v02": {
        1: "#419bdf",
        2: "#397d49",
        4: "#7a87c6",
        5: "#e49635",
        7: "#c4281b",
        8: "#a59b8f",
        9: "#a8ebff",
        10: "#616161",
        11: "#e3e2c3",
    },
}
"""The colours in which the providers draw them."""

PALETTE = (
    *("#808080", "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#ff9da7", "#9c755f"),
    *("#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#a6761d", "#1f78b4", "#b2df8a", "#fb9a99"),
)
"""For classes that a dataset names itself."""


def class_names(sources: Iterable[str], codes: Iterable[int]) -> tuple[str, ...]:
    """A name for each code, after the first collection of `sources` that is known; `class 7` where none is."""
    known = next((NAMES[source] for source in sources if source in NAMES), {})
    return tuple(known.get(code, f"class {code}") for code in codes)


def names_of(header: Header, codes: Iterable[int]) -> tuple[str, ...]:
    """A name for each code of a dataset: its own, or that of the collection its labels come from."""
    wanted = tuple(codes)
    named = class_names(header.sources, wanted)
    return tuple(header.classes.get(code, name) for code, name in zip(wanted, named, strict=True))


def colours_of(header: Header, codes: Iterable[int]) -> tuple[str, ...]:
    """A colour for each code of a dataset: that of the collection its labels come from, or one of a palette."""
    known = next((COLOURS[source] for source in header.sources if source in COLOURS), {})
    return tuple(known.get(code, PALETTE[code % len(PALETTE)]) for code in codes)
