"""The report of a dataset version: one HTML page that opens from a file.

The page holds its data, pictures, style and script. It needs no server and no network.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any

import pyarrow.compute as pc

from croma.building.report.checks import Check
from croma.building.report.counts import SHARES, bands, charts, refusals
from croma.building.report.gallery import gallery
from croma.building.report.places import places
from croma.chip import SPLITS
from croma.errors import InputError
from croma.shards import index, ledger
from croma.shards.dataset import Dataset
from croma.shards.delta import Version

Json = dict[str, Any]


def collect(dataset: Dataset, checks: Sequence[Check], left_out: Mapping[str, int] | None = None) -> Json:
    """What the page shows.

    Args:
        dataset: a version with chips.
        checks: their verdicts.
        left_out: places that became no pair when the version was planned, by reason.
    """
    version, following = commit_of(dataset)
    return {
        "name": dataset.header.name,
        "version": version.number,
        "uri": dataset.ref.uri,
        "facts": _facts(dataset, version),
        "checks": [check.model_dump(mode="json") for check in checks],
        "map": places(dataset),
        "charts": charts(dataset),
        "refusals": refusals(ledger.refusals(dataset.ref.uri, following)),
        "leftOut": [{"reason": reason, "count": count} for reason, count in (left_out or {}).items()],
        "shares": SHARES,
        "statistics": {
            split: {role: bands(role, found) for role, found in dataset.statistics(split).items()}
            for split in SPLITS
            if dataset.table(split, []).num_rows
        },
        "gallery": gallery(dataset),
    }


def commit_of(dataset: Dataset) -> tuple[Version, datetime | None]:
    """The commit that made a version, and when the next one was made.

    Raises:
        InputError: the version has no chips.
    """
    if not dataset.rows.num_rows:
        raise InputError(f"{dataset.ref}: this version has no chips; choose a later one (croma inspect --versions)")
    history = {version.number: version for version in index.versions(dataset.ref.uri)}
    number = dataset.ref.version
    assert number is not None
    following = history.get(number + 1)
    return history[number], following.time if following else None


def render(data: Json) -> str:
    """The page that shows `data`."""
    folder = files("croma.building").joinpath("report_page")
    page = folder.joinpath("page.html").read_text()
    style = folder.joinpath("style.css").read_text()
    script = "\n".join(folder.joinpath(name).read_text() for name in ("draw.js", "map.js", "main.js"))
    # Inside a script element only "</" could end it early.
    content = json.dumps(data, allow_nan=False).replace("</", "<\\/")
    return page.replace("/*STYLE*/", style).replace("/*DATA*/", content).replace("/*SCRIPT*/", script)


def _facts(dataset: Dataset, version: Version) -> list[tuple[str, str]]:
    rows = dataset.rows
    times = pc.min_max(rows["optical_time"]).as_py()
    counts = {split: dataset.table(split, []).num_rows for split in SPLITS}
    size = dataset.layout.size
    return [
        ("chips", f"{rows.num_rows:,}"),
        *((split, f"{count:,}") for split, count in counts.items()),
        ("chip", f"{size} px of 10 m ({size / 100:g} km)"),
        ("acquired", f"{times['min']:%Y-%m-%d} to {times['max']:%Y-%m-%d}"),
        ("committed", f"{version.time:%Y-%m-%d %H:%M} UTC, {version.added:,} chips added"),
        *version.note.items(),
        ("sources", ", ".join(dataset.header.sources)),
    ]
