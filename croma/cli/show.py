"""What the command line prints: tables on a terminal, plain lines in a log."""

from collections.abc import Iterable, Sequence

import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from croma.chip import SPLITS
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A
from croma.shards.dataset import Dataset
from croma.shards.delta import Version

console = Console(stderr=True, highlight=False)
"""For messages: errors, progress."""
out = Console(highlight=False)
"""For results."""


def table(rows: Iterable[Sequence[object]], *headings: str, title: str | None = None) -> None:
    """Print rows under headings."""
    grid = Table(*headings, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*(str(value) for value in row))
    out.print(grid)


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one a line."""
    grid = Table.grid(padding=(0, 2))
    for name, value in pairs:
        grid.add_row(f"[bold]{name}[/]", str(value))
    out.print(grid)


def dataset(opened: Dataset) -> None:
    """Print what a dataset version is: counts, bands, grid, times."""
    rows = opened.rows
    facts(
        [
            ("dataset", opened.ref.uri),
            ("version", opened.ref.version),
            ("chips", rows.num_rows),
            ("chip size", f"{opened.layout.size} px of 10 m, {opened.layout.size / 100:g} km"),
            ("radar", " ".join(band.name for band in SENTINEL_1_RTC.bands) + ", float16 dB"),
            ("optical", _optical_bands()),
            ("labels", "yes" if opened.header.label else "no"),
            ("grid", ", ".join(f"EPSG:{epsg}" for epsg in sorted(set(rows["epsg"].to_pylist())))),
            *_times(opened),
        ]
    )
    counts = {split: opened.table(split) for split in SPLITS}
    table(
        [(split, part.num_rows, len(opened.shards(split)), _gap(part)) for split, part in counts.items()],
        *("split", "chips", "shards", "median gap"),
    )


def versions(history: Iterable[Version]) -> None:
    """Print the history of a dataset."""
    rows = [
        (v.number, f"{v.time:%Y-%m-%d %H:%M}", v.added, ", ".join(f"{k}={n}" for k, n in v.note.items()))
        for v in history
    ]
    table(rows, "version", "committed (UTC)", "chips added", "note")


def _optical_bands() -> str:
    by_resolution = [
        f"{' '.join(SENTINEL_2_L2A.bands[i].name for i in SENTINEL_2_L2A.at(resolution))} at {resolution} m"
        for resolution in SENTINEL_2_L2A.resolutions
    ]
    return "; ".join(by_resolution) + ", uint16 reflectance × 10,000"


def _times(opened: Dataset) -> list[tuple[str, object]]:
    if not opened.rows.num_rows:
        return []
    span = pc.min_max(opened.rows["optical_time"]).as_py()
    resampled = pc.sum(opened.rows["resampled"]).as_py()
    return [
        ("acquired", f"{span['min']:%Y-%m-%d} to {span['max']:%Y-%m-%d}"),
        ("resampled", f"{resampled} of {opened.rows.num_rows} chips"),
    ]


def _gap(part: object) -> str:
    gaps = pc.abs(part["gap_hours"])  # type: ignore[index]
    return f"{pc.quantile(gaps, 0.5)[0].as_py():.1f} h" if len(gaps) else "-"
