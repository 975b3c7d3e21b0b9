"""How fast shuffled batches are loaded, by us and by others, on this machine: `make bench-load`.

Every measurement is a fresh process that has imported what it needs; loaders take turns, so that a slow minute hits
all alike. Locally the files are in memory already (the page cache); over the network every loader starts cold, from an
nginx on loopback that waits 20 ms before each answer. Prints tables and writes the numbers as JSON.
"""

import argparse
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks import object_store
from benchmarks.build import REPOSITORY, machine_facts
from benchmarks.forms import PER_SHARD, importable, make
from benchmarks.loaders import BUCKET, IMPORTS, LOADERS, NEEDS, Job

DELAY = 0.02
"""Seconds before each answer of the object store."""
PATIENCE = 90.0
"""Seconds that a loader may take to its first batch; one that takes longer is said to stall."""
PACKAGES = ("torch", "webdataset", "litdata", "mosaicml-streaming", "spdl", "zarr")
LOCAL = {"ours": 4, "ours, first reads": 1, "preadv": 4, "SPDL": 2}
"""Epochs of those that would be over too soon; one of the others."""
FLOORS = ("preadv", "plain GET")
"""The bytes and nothing else: locally, and streamed."""
STREAMED = [name for name in LOADERS if name not in ("preadv", "webdataset float32")]
HERE = [
    "ours",
    "ours, first reads",
    *(name for name in LOADERS if name not in ("ours", "ours kept on disk", "plain GET")),
]


def installed(name: str) -> bool:
    """Whether what a loader compares with is here."""
    return name.partition(",")[0] in ("ours", "ours kept on disk", *FLOORS) or importable(NEEDS.get(name, name))


def measure(name: str, job: dict[str, Any], limit: float) -> dict[str, Any] | None:
    """One run of a loader in a process of its own; stopped `limit` seconds after its first batch.

    None: no first batch came in `PATIENCE` seconds.
    """
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        text = json.dumps({"name": name.partition(",")[0], "limit": limit, "job": {**job, "scratch": scratch}})
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.load", "--run", text]
        environment = os.environ | (_credentials(job["store"]) if job.get("store") else {})
        # Files, not pipes: workers of some peers outlive their parent and would keep a pipe open.
        process = subprocess.Popen(
            command, stdout=out, stderr=errors, cwd=REPOSITORY, env=environment, start_new_session=True
        )
        try:
            code = process.wait(limit + PATIENCE)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        out.seek(0)
        errors.seek(0)
        if code:
            raise SystemExit(f"{name}: {errors.read().decode()[-2000:]}")
        found: dict[str, Any] = json.loads(out.read().splitlines()[-1])
    return found


def run(text: str) -> None:
    """What a measuring process does: import, then load against the clock."""
    wanted = json.loads(text)
    for module in IMPORTS.get(wanted["name"], ()):
        importlib.import_module(module)
    load, job = LOADERS[wanted["name"]], Job(**wanted["job"])
    began = time.perf_counter()
    batches = load(job)
    first = len(next(iter(next(batches).values())))
    waited = time.perf_counter() - began
    samples, began, busy = 0, time.perf_counter(), cpu_seconds()
    for batch in batches:
        samples += len(next(iter(batch.values())))
        if time.perf_counter() - began > wanted["limit"]:
            break
    seconds, busy = time.perf_counter() - began, cpu_seconds() - busy
    facts = {"samples": samples, "seconds": seconds, "first_batch": waited, "cold_seconds": waited + seconds}
    print(json.dumps({**facts, "cold_samples": first + samples, "cpu": busy}), flush=True)
    os._exit(0)  # some peers leave threads that do not end


def cpu_seconds() -> float:
    """Of this process and its children, those that run and those that have ended."""
    total, this = 0.0, psutil.Process()
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])  # user, system, and both of children that have ended
    return total


def _credentials(store: str) -> dict[str, str]:
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    return {**keys, "AWS_ENDPOINT_URL": store, "S3_ENDPOINT_URL": store, "AWS_ALLOW_HTTP": "true"}


@contextmanager
def store_of(folder: Path) -> Iterator[str]:
    """The address of an object store with the forms of `folder` in a bucket."""
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / BUCKET).symlink_to(folder.resolve())
        with object_store.serve(Path(root), DELAY) as address:
            yield address


def compare(names: list[str], rounds: int, limit: float, epochs: dict[str, int], **job: Any) -> list[dict[str, Any]]:
    """Rows of all loaders, in rounds."""
    cold = bool(job.get("store"))
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    stalled: set[str] = set()
    for number in range(rounds):
        for name in names:
            found = None if name in stalled else measure(name, {**job, "epochs": epochs.get(name, 1)}, limit)
            if found is None:
                stalled.add(name)
                continue
            runs[name].append(found)
            print(f"round {number + 1}: {name:22} {_pace(found, cold):9.0f}/s", file=sys.stderr)
    return [{"loader": name, **summarise(found, cold)} for name, found in runs.items() if found]


def _pace(found: dict[str, Any], cold: bool) -> float:
    """Samples a second: since the first batch, or since the loader was made where it starts cold."""
    if cold:
        return float(found["cold_samples"] / found["cold_seconds"])
    return float(found["samples"] / found["seconds"])


def summarise(runs: list[dict[str, Any]], cold: bool) -> dict[str, Any]:
    """Median and range of the rounds of one loader."""
    paces = sorted(_pace(found, cold) for found in runs)
    return {
        "samples_per_second": round(median(paces)),
        "slowest": round(paces[0]),
        "fastest": round(paces[-1]),
        "first_batch_ms": round(1000 * median(found["first_batch"] for found in runs)),
        "cpu_us_per_sample": round(1e6 * median(found["cpu"] / max(found["samples"], 1) for found in runs)),
    }


def resumes(folder: Path, steps: list[int], rounds: int) -> list[dict[str, Any]]:
    """Milliseconds to the first batch when a loader begins after so many batches."""
    rows = []
    for name in ("ours", "webdataset"):
        for step in steps:
            job = {"folder": str(folder), "start": step}
            runs = [measure(name, job, 0.0) for _ in range(rounds)] if installed(name) else []
            found = [run["first_batch"] for run in runs if run is not None]
            if found:
                rows.append({"loader": name, "step": step, "first_batch_ms": round(1000 * median(found))})
    return rows


def table(rows: list[dict[str, Any]], names: list[str]) -> str:
    """The numbers as Markdown, with how many times faster ours is."""
    mine = next(row["samples_per_second"] for row in rows if row["loader"] == "ours")
    lines = [
        "| loader | samples/s | range | ours ÷ it | first batch, ms | CPU µs a sample |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        pace = row["samples_per_second"]
        span = f"{row['slowest']:,} to {row['fastest']:,}"
        facts = f"{row['first_batch_ms']:,} | {row['cpu_us_per_sample']:,}"
        lines.append(f"| {row['loader']} | {pace:,} | {span} | {mine / pace:.2f} | {facts} |")
    absent = [name for name in names if name not in {row["loader"] for row in rows}]
    why = {name: f"no batch in {PATIENCE:.0f} s" if installed(name) else "not installed" for name in absent}
    return "\n".join([*lines, *(f"| {name} | {reason} | | | | |" for name, reason in why.items())])


def machine() -> dict[str, Any]:
    """What the numbers are from."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {**machine_facts(), "python": platform.python_version(), "packages": found, "delay_seconds": DELAY}


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / ".croma" / "bench" / "load", help="of the chips")
    parser.add_argument("--shards", type=int, default=48, help=f"of {PER_SHARD} chips each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=float, default=15, help="seconds after its first batch that a run is stopped")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()
    if options.run:
        run(options.run)
        return
    make(options.folder, options.shards)
    report: dict[str, Any] = {"machine": machine(), "chips": options.shards * PER_SHARD}
    common = {"folder": str(options.folder), "workers": options.workers}
    ready = [name for name in HERE if installed(name)]
    report["local"] = compare(ready, options.rounds, options.limit, LOCAL, **common)
    print(f"Local, {options.workers} readers\n\n{table(report['local'], HERE)}\n", flush=True)
    if object_store.is_there():
        with store_of(options.folder) as address:
            streamed = [name for name in STREAMED if installed(name)]
            report["stream"] = compare(streamed, options.rounds, options.limit, {}, store=address, **common)
        print(f"Cold, from an object store 20 ms away\n\n{table(report['stream'], STREAMED)}\n", flush=True)
    else:
        print("No streaming: apt-get install nginx-light libnginx-mod-http-echo")
    batches = options.shards * PER_SHARD // 64
    report["resume"] = resumes(options.folder, [0, batches // 2, batches - 2], options.rounds)
    for row in report["resume"]:
        print(f"resume at step {row['step']:5} {row['loader']:12} {row['first_batch_ms']:6} ms to the first batch")
    print(f"\n{report['machine']}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
