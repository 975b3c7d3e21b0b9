"""A small simulated world behind a real STAC API, and the command line run as a user runs it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from croma.simulate.spec import OPTICAL, RADAR, WorldSpec
from croma.simulate.world import build_world

RECIPE = Path(__file__).with_name("tiny.yaml")
WORLD = WorldSpec(tile=1020, step=912, optical=OPTICAL[:4], radar=RADAR[:6])

Finished = subprocess.CompletedProcess[str]
Run = Callable[..., Finished]


@pytest.fixture(scope="session")
def stac(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the STAC API."""
    with build_world(WORLD, tmp_path_factory.mktemp("worlds") / "world").serve() as address:
        yield address


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a user whose site is `home`."""
    cleared = {k: v for k, v in os.environ.items() if not k.startswith(("CROMA_", "PREFECT_", "MLFLOW_TRACKING"))}
    site = {"CROMA_HOME": str(home), "CROMA_STORAGE": str(home / "storage"), "COLUMNS": "200"}
    return cleared | site | more


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "croma.cli.main", *words]


@pytest.fixture
def croma(tmp_path: Path) -> Run:
    """`croma("plan", "demo", CROMA_CATALOG=…)` runs the command line with its own home below `tmp_path`."""

    def run(*words: str, **more: str) -> Finished:
        return subprocess.run(
            command(*words),
            capture_output=True,
            text=True,
            env=environment(tmp_path, **more),
            cwd=tmp_path,
            timeout=600,
        )

    return run
