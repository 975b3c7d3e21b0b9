"""Builds in processes of their own, forked from one that has loaded everything, so that they begin at once."""

import multiprocessing
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import rustac

from tests.faults.speck import build, items, spec

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.faults.speck"])


def snapshot(world: Path, folder: Path) -> str:
    """The world's catalog as stac-geoparquet, which needs no server."""
    found = items(world, str(world))
    for collection in {item["collection"] for item in found}:
        rustac.write_sync(str(folder / f"{collection}.parquet"), [i for i in found if i["collection"] == collection])
    return str(folder / "{collection}.parquet")


def begin(catalog: str, uri: str, barrier: Barrier | None = None, **changes: Any) -> ForkServerProcess:
    """A process that builds the speck, with changes of its recipe."""
    process = CONTEXT.Process(target=_build, args=(catalog, uri, barrier, changes))
    process.start()
    return process


def _build(catalog: str, uri: str, barrier: Barrier | None, changes: dict[str, Any]) -> None:
    if barrier is not None:
        barrier.wait(60)
    build(spec(**changes), catalog, uri)
