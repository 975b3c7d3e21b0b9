"""What the report and the published metadata of a large version take: `python -m benchmarks.describe --chips 1000000`.

The index and the cards are made up; no pixel is read, since the looks at pixels are as many for any version.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np

from benchmarks.build import peak_mb
from croma import storage
from croma.building.publish.card import attribution, card, describe
from croma.building.publish.collection import collection
from croma.building.publish.croissant import croissant
from croma.building.publish.items import write_items
from croma.building.report import page
from croma.building.report.checks import run_checks
from croma.building.report.looks import CHIPS, chosen
from croma.building.report.page import collect, commit_of, render
from croma.building.seal import seal
from croma.chip import SPLITS
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A
from croma.shards.card import HISTOGRAMS
from croma.shards.dataset import Header, open_dataset, read_cards, write_header
from croma.shards.ref import DatasetRef

PER_SHARD = 512
SIZE = 120
Result = TypeVar("Result")


def statistics() -> dict[str, object]:
    """Of a shard."""
    found: dict[str, object] = {}
    for sensor in (SENTINEL_2_L2A, SENTINEL_1_RTC):
        bands, bins = len(sensor.bands), HISTOGRAMS[sensor.role].bins
        numbers = {"count": [PER_SHARD * bins] * bands, "total": [1e6] * bands, "squares": [1e9] * bands}
        ends = {"minimum": [1.0] * bands, "maximum": [9.0] * bands}
        found[sensor.role] = {**numbers, **ends, "histogram": [[PER_SHARD] * bins] * bands}
    return found


def make_shard(uri: str, number: int) -> str:
    """The card and an empty file of a shard whose chips lie side by side, 1,024 to a scene."""
    rng = np.random.default_rng(number)
    shard, split = f"{number:016x}", SPLITS[0] if number % 10 else SPLITS[1 + number // 10 % 2]
    day = datetime(2021, 1, 1, 10, tzinfo=UTC) + timedelta(days=number % 700)
    zone, row, tile = 32601 + number % 60, number // 60, f"{1 + number % 60:02d}U{number // 60 % 100:02d}"
    radar = f"S1A_IW_GRDH_1SDV_{day:%Y%m%dT%H%M%S}_{number // 2:06X}_rtc"
    optical = f"S2A_MSIL2A_{day:%Y%m%dT%H%M%S}_R022_T{tile}_{number // 2:08d}"
    rows = [
        {
            "chip": f"{zone}_{300_000 + 1200 * n}_{6_000_000 - 1200 * row}_{day:%Y%m%d}_{number:08x}",
            "split": split,
            "shard": shard,
            "offset": 216_000 * n,
            "length": 215_040,
            "crc32": int(rng.integers(1 << 31)),
            "epsg": zone,
            "left": 300_000 + 1200 * n,
            "top": 6_000_000 - 1200 * row,
            "longitude": -177 + 6 * (number % 60) + 0.01 * n,
            "latitude": 54 - 0.011 * row,
            "radar_scene": radar,
            "optical_scene": optical,
            "radar_time": (day - timedelta(hours=5)).isoformat(),
            "optical_time": day.isoformat(),
            "gap_hours": -5.0,
            "orbit_state": "descending",
            "radar_relative_orbit": 22,
            "optical_relative_orbit": 122,
            "baseline": 5.0,
            "tile": tile,
            "cloud": float(rng.random() / 10),
            "snow": 0.0,
            "optical_nodata": 0.0,
            "radar_nodata": 0.0,
            "resampled": False,
            "reader": "window",
            "label": 10,
            "label_shares": {"10": 0.75, "30": 0.25},
        }
        for n in range(PER_SHARD)
    ]
    content = {
        "id": shard,
        "plan": shard,
        "split": split,
        "chip_size": SIZE,
        "label": True,
        "samples": PER_SHARD,
        "bytes": 1,
        "sha256": "0" * 64,
        "rows": rows,
        "statistics": statistics(),
        "rejections": [],
    }
    storage.write(storage.join(uri, "shards", split, f"{shard}.tar"), b"x")
    storage.write(storage.join(uri, "cards", f"{shard}.json"), json.dumps(content).encode())
    return shard


def timed(name: str, call: Callable[[], Result]) -> Result:
    """Print what a call took, and the most memory that the process held meanwhile."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux forgets the peak so far
    began = time.perf_counter()
    found = call()
    print(f"{name:12} {time.perf_counter() - began:7.1f} s, peak {peak_mb():7.0f} MB", flush=True)
    return found


def main() -> None:
    """Make a version, seal it, and describe it step by step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", type=int, default=1_000_000)
    arguments = parser.parse_args()
    page.gallery = lambda _: []
    with TemporaryDirectory() as folder:
        uri = str(Path(folder, "dataset"))
        write_header(uri, Header(format=1, name="large", chip_size=SIZE, label=True, sources=SOURCES))
        shards = [make_shard(uri, number) for number in range(-(-arguments.chips // PER_SHARD))]
        timed("made", lambda: None)
        timed("seal", lambda: seal(uri, read_cards(uri, shards), {}))
        dataset = timed("open", lambda: open_dataset(DatasetRef(uri=uri)))
        print(f"{dataset.rows.num_rows:,} rows, {dataset.rows.nbytes / 1e6:.0f} MB in Arrow")
        timed("choose", lambda: chosen(dataset.rows, CHIPS))
        checks = timed("checks", lambda: run_checks(dataset.rows, SIZE, []))
        data = timed("collect", lambda: collect(dataset, checks))
        text = timed("render", lambda: render(data))
        print(f"page of {len(text) / 1e6:.1f} MB")
        items = Path(folder, "items.parquet")
        timed("items", lambda: write_items(dataset, items))
        print(f"items of {items.stat().st_size / 1e6:.0f} MB")
        version, _ = commit_of(dataset)
        about = timed("describe", lambda: describe(dataset))
        timed("collection", lambda: collection(dataset, version, about))
        timed("croissant", lambda: croissant(dataset, version, about, attribution(dataset), ""))
        timed("card", lambda: card(dataset, version, checks))


SOURCES = ("sentinel-1-rtc", "sentinel-2-l2a", "esa-worldcover")

if __name__ == "__main__":
    main()
