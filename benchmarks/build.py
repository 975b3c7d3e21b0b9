"""How fast chips are read from full-size scenes, by us and by others, on this machine: `make bench-build`.

Every measurement is a fresh process. Prints a table and writes the numbers as JSON.
"""

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).parents[1]
SIZE = 120
"""Pixels of 10 m: the chip that CROMA was published for."""
DELAY = 0.02
"""Seconds before each answer of the loopback server."""
FEW = 25
"""Chips that are enough for a reader that treats every chip alike."""


def sparse(count: int = 12) -> list[tuple[int, int]]:
    """Corners of chips strewn over the scene."""
    rng = random.Random(1)
    return [(600_000 + 60 * rng.randrange(1800), 5_400_000 - 60 * rng.randrange(1800)) for _ in range(count)]


def dense(side: int) -> list[tuple[int, int]]:
    """Corners of chips side by side."""
    return [(606_000 + 1200 * i, 5_394_000 - 1200 * j) for j in range(side) for i in range(side)]


SAMPLINGS = {"sparse": sparse(), "dense": dense(10), "denser": dense(30)}

PLACES = ["local", "http"]


def measure(reader: str, base: str, cells: list[tuple[int, int]], limit: float) -> dict[str, Any]:
    """One run of a reader in a process of its own."""
    job = json.dumps({"reader": reader, "base": base, "size": SIZE, "cells": cells})
    command = [sys.executable, "-m", "benchmarks.build", "--run", job]
    result = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=limit, check=False)
    if result.returncode:
        raise SystemExit(f"{reader}: {result.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def run(text: str) -> None:
    """What a measuring process does: import, then read once against the clock."""
    from benchmarks.readers import READERS, Job

    job = json.loads(text)
    reader = READERS[job.pop("reader")]
    cells = tuple((left, top) for left, top in job["cells"])
    wanted = Job(base=job["base"], size=job["size"], cells=cells)
    wall, cpu = time.perf_counter(), time.process_time()
    total = reader(wanted)
    seconds, busy = time.perf_counter() - wall, time.process_time() - cpu
    found = {"chips": len(cells), "seconds": seconds, "cpu": busy, "peak_mb": peak_mb(), "total": total}
    print(json.dumps(found), flush=True)
    os._exit(0)  # async-tiff 0.7.2 aborts one interpreter in ten that shuts down in an orderly way


def peak_mb() -> float:
    """The most memory that this process has held; what getrusage says is also that of the process that started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024


@contextmanager
def slow_server(folder: Path, delay: float = DELAY) -> Iterator[str]:
    """The address of a loopback server that answers every request after `delay` seconds."""
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "slow_server.py"), str(folder), str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


def measure_all(
    folder: Path, readers: list[str], places: list[str], samplings: list[str], rounds: int, limit: float
) -> list[dict[str, Any]]:
    """Readers over samplings, locally and over HTTP, in rounds, so that a slow minute hits all alike."""
    from benchmarks.readers import PER_CHIP

    found = []
    with slow_server(folder) as address:
        bases = {"local": str(folder), "http": address}
        for place in places:
            base = bases[place]
            for sampling in samplings:
                cells = SAMPLINGS[sampling]
                chosen = [name for name in readers if not (name in PER_CHIP and sampling == "denser")]
                runs: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
                for _ in range(rounds):
                    for name in chosen:
                        runs[name].append(measure(name, base, cells[:FEW] if name in PER_CHIP else cells, limit))
                check(runs, cells)
                for name, results in runs.items():
                    summary = summarise(results)
                    print(f"{place} {sampling:7} {name:22} {summary['chips_per_second']:8.1f} chips/s", file=sys.stderr)
                    found.append({"place": place, "sampling": sampling, "reader": name, **summary})
    return found


def check(runs: dict[str, list[dict[str, Any]]], cells: list[tuple[int, int]]) -> None:
    """See that all readers read the same pixels."""
    for few in (True, False):
        totals = {
            name: result["total"]
            for name, results in runs.items()
            for result in results
            if result["total"] and (result["chips"] < len(cells)) == few
        }
        if len(set(totals.values())) > 1:
            raise SystemExit(f"the readers disagree: {totals}")


def summarise(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Median and range of the rounds of one reader."""
    paces = sorted(result["chips"] / result["seconds"] for result in results)
    return {
        "chips_per_second": median(paces),
        "slowest": paces[0],
        "fastest": paces[-1],
        "cpu_ms_per_chip": 1000 * median(result["cpu"] / result["chips"] for result in results),
        "peak_mb": max(result["peak_mb"] for result in results),
    }


def table(found: list[dict[str, Any]]) -> str:
    """The numbers as Markdown: chips a second, and how many times slower than ours."""
    columns = list(dict.fromkeys((row["place"], row["sampling"]) for row in found))
    pace = {(row["place"], row["sampling"], row["reader"]): row["chips_per_second"] for row in found}
    lines = [
        "| chips/s (ours ÷ it) | " + " | ".join(f"{place} {sampling}" for place, sampling in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for reader in dict.fromkeys(row["reader"] for row in found):
        cells = []
        for column in columns:
            mine, its = pace.get((*column, "ours")), pace.get((*column, reader))
            cells.append("" if its is None else f"{its:.1f}" + (f" ({mine / its:.2f})" if mine else ""))
        lines.append(f"| {reader} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine_facts() -> dict[str, Any]:
    """What is measured on, and how busy it was with other things."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "system": platform.platform(),
    }


def machine() -> dict[str, Any]:
    """What the numbers are from."""
    packages = ("imagecodecs", "obstore", "rasterio", "stackstac", "odc-stac", "async-tiff")
    return {
        **machine_facts(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "chip_pixels": SIZE,
        "chips": {name: len(cells) for name, cells in SAMPLINGS.items()},
        "delay_seconds": DELAY,
    }


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / ".croma" / "bench", help="where the scene is kept")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--readers", nargs="*", help="some of them; all by default")
    parser.add_argument("--places", nargs="*", choices=PLACES, default=PLACES, help="where the files are")
    parser.add_argument("--samplings", nargs="*", choices=SAMPLINGS, default=list(SAMPLINGS), help="where chips lie")
    parser.add_argument("--limit", type=float, default=600, help="seconds that one run may take")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.run)
        return
    from benchmarks.full_scene import make_scene
    from benchmarks.readers import READERS

    make_scene(arguments.folder)
    about = machine()
    readers = arguments.readers or list(READERS)
    found = measure_all(
        arguments.folder, readers, arguments.places, arguments.samplings, arguments.rounds, arguments.limit
    )
    print(table(found))
    print(f"\n{about}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": about, "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
