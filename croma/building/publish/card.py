"""The card of a version: what a person must know before using it, in Markdown."""

from collections.abc import Sequence

import pyarrow.compute as pc

from croma.building.publish.sources import Source, sources_of, years
from croma.building.report.checks import Check
from croma.building.report.counts import bands
from croma.chip import SPLITS
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A
from croma.shards.classes import names_of
from croma.shards.dataset import Dataset
from croma.shards.delta import Version


def describe(dataset: Dataset) -> str:
    """The dataset in a paragraph."""
    rows, size = dataset.rows, dataset.layout.size
    times = pc.min_max(rows["optical_time"]).as_py()
    places = rows.group_by(["epsg", "left", "top"]).aggregate([]).num_rows
    labels = " Every chip has a land-cover plane." if dataset.header.label else ""
    return (
        f"{rows.num_rows:,} pairs of Sentinel-1 radar and Sentinel-2 optical chips of {size} × {size} pixels of 10 m "
        f"at {places:,} places, acquired from {times['min']:%Y-%m-%d} to {times['max']:%Y-%m-%d}. Radar and optical "
        f"share one grid; optical bands keep their native resolution.{labels}"
    )


def attribution(dataset: Dataset) -> str:
    """What whoever passes the pixels on must say."""
    times = pc.min_max(dataset.rows["optical_time"]).as_py()
    span = years(times["min"].year, times["max"].year)
    lines = (source.attribution.replace("{years}", span) for source in sources_of(dataset.header.sources))
    return " ".join(dict.fromkeys(lines))


def card(dataset: Dataset, version: Version, checks: Sequence[Check]) -> str:
    """The card as Markdown, with the head that the Hugging Face hub reads."""
    parts = [
        _head(dataset),
        f"# {dataset.header.name}, version {version.number}\n\n{describe(dataset)}",
        f"## Chips\n\n{_counts(dataset)}\n\n{_land_cover(dataset)}".rstrip(),
        f"## Pixels\n\n{_pixels(dataset)}\n\n{_statistics(dataset)}",
        f"## How to read it\n\n{_READING}",
        f"## Checks\n\n{_checks(checks)}",
        f"## Where it comes from\n\n{_made(version)}\n\n{_sources(sources_of(dataset.header.sources))}",
        f"## Attribution\n\n{attribution(dataset)}",
    ]
    return "\n\n".join(parts) + "\n"


_READING = """The shards are plain tars (`shards/<split>/*.tar`) that any WebDataset client reads; `index/` is a Delta
table with a row a chip, and `items.parquet` beside this card the same as STAC items. The offset and length in a row
make a chip one range read."""


def _head(dataset: Dataset) -> str:
    count = dataset.rows.num_rows
    sizes = [(1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M")]
    category = next((name for most, name in sizes if count < most), "10M<n<100M")
    tags = "\n".join(f"- {tag}" for tag in ("sentinel-1", "sentinel-2", "remote-sensing", "webdataset"))
    return f"---\nlicense: other\nsize_categories:\n- {category}\ntags:\n{tags}\n---"


def _counts(dataset: Dataset) -> str:
    rows = []
    for split in SPLITS:
        part = dataset.table(split, ["gap_hours", "cloud"])
        if part.num_rows:
            gap = pc.quantile(pc.abs(part["gap_hours"]), 0.5)[0].as_py()
            cloud = pc.mean(part["cloud"]).as_py()
            shown = "not known" if cloud is None else f"{100 * cloud:.1f} %"
            rows.append([split, f"{part.num_rows:,}", len(dataset.shards(split)), f"{gap:.1f} h", shown])
    return _table(["split", "chips", "shards", "median gap", "mean cloud"], rows)


def _land_cover(dataset: Dataset) -> str:
    if not dataset.header.label:
        return ""
    counted = pc.value_counts(pc.drop_null(dataset.rows["label"])).to_pylist()
    found = sorted(((row["values"], row["counts"]) for row in counted), key=lambda pair: -pair[1])
    names = names_of(dataset.header, [code for code, _ in found])
    rows = [[code, name, f"{count:,}"] for (code, count), name in zip(found, names, strict=True)]
    return _table(["code", "commonest land cover", "chips"], rows)


def _pixels(dataset: Dataset) -> str:
    rows = [["s1", ", ".join(band.name for band in SENTINEL_1_RTC.bands), "10 m", "decibels, float16", "NaN"]]
    for resolution in SENTINEL_2_L2A.resolutions:
        names = ", ".join(SENTINEL_2_L2A.bands[i].name for i in SENTINEL_2_L2A.at(resolution))
        rows.append([f"s2_{resolution}m", names, f"{resolution} m", "reflectance × 10,000, uint16", "0"])
    if dataset.header.label:
        rows.append(["label", dataset.header.sources[-1], "10 m", "class code, uint8", "0"])
    return _table(["member", "bands", "pixel", "unit", "nodata"], rows)


def _statistics(dataset: Dataset) -> str:
    """Of the train split, or of the first one that has chips."""
    split = next(split for split in SPLITS if dataset.table(split, []).num_rows)
    rows = [
        [band["name"], f"{band['mean']:.1f}", f"{band['std']:.1f}", *(f"{v:.1f}" for v in band["percentiles"][::3])]
        for role in ("radar", "optical")
        for band in bands(role, dataset.statistics(split)[role])
    ]
    return f"Clear pixels of the {split} split:\n\n" + _table(["band", "mean", "std", "1 %", "50 %", "99 %"], rows)


def _checks(checks: Sequence[Check]) -> str:
    return _table(["check", "verdict", "found"], [[check.name, check.verdict, check.found] for check in checks])


def _made(version: Version) -> str:
    note = "; ".join(f"{name} `{value}`" for name, value in sorted(version.note.items()))
    return f"Committed {version.time:%Y-%m-%d %H:%M} UTC with {version.added:,} new chips" + (
        f": {note}." if note else "."
    )


def _sources(sources: Sequence[Source]) -> str:
    rows = [
        [
            f"[{s.title}]({s.page})" if s.page else s.title,
            s.provider,
            f"[{s.licence}]({s.terms})" if s.terms else s.licence,
        ]
        for s in sources
    ]
    return _table(["source", "provider", "licence"], rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    return "\n".join([*lines, *("| " + " | ".join(str(value) for value in row) + " |" for row in rows)])
