"""How long a plan takes and how much memory, from scenes to Parquet: no pixel is read.

    python -m benchmarks.plan [--zones 12] [--dates 40] [--per-cell 10] [--json FILE]

The catalog is made up: full-size Sentinel-2 tiles of 109.8 km that overlap, 15 a zone, on so many dates, and radar
passes cut into slices, 17 hours before each. The rule is the default one: chips of 1.2 km side by side, the best
pairs of a place spread over the year, splits of 12 km.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from croma.building.book import load, store
from croma.building.plan import make_plan
from croma.building.spec import BuildSpec
from croma.catalog.footprint import to_degrees
from croma.catalog.scene import Asset, Scene
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A

TILE, STEP = 109_800, 100_020
COLUMNS, ROWS = 3, 5
START = datetime(2021, 1, 3, 10, tzinfo=UTC)


def main() -> None:
    """Plan, store, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zones", type=int, default=12)
    parser.add_argument("--dates", type=int, default=40)
    parser.add_argument("--per-cell", type=int, default=10)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    optical = [scene for zone in range(given.zones) for scene in optical_scenes(32610 + zone, given.dates)]
    radar = [scene for zone in range(given.zones) for scene in radar_scenes(32610 + zone, given.dates)]
    result: dict[str, Any] = {"optical scenes": len(optical), "radar scenes": len(radar), "MB before": peak()}
    spec = BuildSpec.model_validate(
        {
            "name": "bench",
            "area": {"bbox": (-180, -80, 180, 84)},
            "window": {"start": "2021-01-01", "end": "2021-12-31"},
            "chip_size": 120,
            "pair": {"per_cell": given.per_cell},
        }
    )
    clock = Clock()
    plan = make_plan(spec, optical, radar)
    result |= {"chips": sum(plan.chips.values()), "shards": len(plan.shards), **clock.read("plan"), "MB": peak()}
    with tempfile.TemporaryDirectory() as folder:
        address, ids = store(plan.book, folder)
        size = sum(path.stat().st_size for path in Path(address).rglob("*.parquet"))
        result |= {**clock.read("store"), "stored MB": round(size / 1e6, 1), "MB in all": peak()}
        book, numbers = load(address)
        some = ids[:: max(len(ids) // 100, 1)]
        made = [book.shard(numbers[name]) for name in some]
        result["ms to read a shard's plan"] = round(1000 * clock.read("read")["read: CPU s"] / len(made), 1)
        assert [shard.id for shard in made] == list(some)
    for name, value in result.items():
        sys.stdout.write(f"{name:28} {value:>14,}\n")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(result, indent=1))


def optical_scenes(epsg: int, dates: int) -> list[Scene]:
    """Overlapping tiles of one zone, each on every date."""
    scenes = []
    bands = [band.name for band in SENTINEL_2_L2A.bands]
    for column in range(COLUMNS):
        for row in range(ROWS):
            left, bottom = 199_980 + column * 99_960, 5_000_220 + row * STEP
            footprint, tile = rectangle(epsg, left, bottom, TILE, TILE), f"{epsg % 100}T{column}{row}"
            for date in range(dates):
                name = f"S2_{tile}_{date:03d}"
                scenes.append(
                    Scene(
                        id=name,
                        collection="sentinel-2-l2a",
                        role="optical",
                        time=START + timedelta(days=5 * date),
                        geometry=footprint,
                        epsg=epsg,
                        assets={band: Asset(href=f"https://example.org/{name}/{band}.tif") for band in (*bands, "SCL")},
                        platform="sentinel-2a",
                        tile=tile,
                        baseline=5.1,
                        cloud_cover=float((37 * date + 11 * row + column) % 70),
                    )
                )
    return scenes


def radar_scenes(epsg: int, dates: int) -> list[Scene]:
    """Slices of radar passes over a zone."""
    scenes = []
    bands = [band.name for band in SENTINEL_1_RTC.bands]
    for date in range(dates):
        for column in range(2):
            for row in range(4):
                left, bottom = 150_000 + column * 240_000, 4_950_000 + row * 170_000
                name = f"S1_{epsg}_{column}{row}_{date:03d}"
                scenes.append(
                    Scene(
                        id=name,
                        collection="sentinel-1-rtc",
                        role="radar",
                        time=START + timedelta(days=5 * date, hours=-17, seconds=25 * row),
                        geometry=rectangle(epsg, left, bottom, 260_000, 172_000),
                        epsg=epsg,
                        assets={band: Asset(href=f"https://example.org/{name}/{band}.tif") for band in bands},
                        platform="sentinel-1a",
                        mode="IW",
                        polarizations=("VV", "VH"),
                    )
                )
    return scenes


def rectangle(epsg: int, left: float, bottom: float, width: float, height: float) -> dict[str, Any]:
    """A footprint in degrees."""
    right, top = left + width, bottom + height
    x, y = to_degrees(epsg).transform([left, right, right, left, left], [bottom, bottom, top, top, bottom])
    return {"type": "Polygon", "coordinates": [[list(point) for point in zip(x, y, strict=True)]]}


class Clock:
    """Seconds since the last look."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self, what: str) -> dict[str, float]:
        """Wall and processor seconds since the last look."""
        wall, cpu = time.perf_counter(), time.process_time()
        taken = {f"{what}: s": round(wall - self._wall, 1), f"{what}: CPU s": round(cpu - self._cpu, 1)}
        self._wall, self._cpu = wall, cpu
        return taken


def peak() -> int:
    """Megabytes of memory at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
