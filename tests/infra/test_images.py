"""What the images install, in clean environments: each wing alone runs all its entry points and lacks the other's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BUILD_ENTRIES = (
    "flows.build_dataset",
    "flows.scheduled",
    "flows.deployments",
    "croma.cli.commands",
    "croma.raster.stack",
)
TRAIN_ENTRIES = ("flows.pretrain", "flows.evaluate", "flows.scheduled", "flows.relay", "croma.training.job")
TRAIN_ENTRIES += ("croma.training.ray_job", "croma.evaluation.suite", "croma.tracking.records", "croma.cluster")


def extras(image: str) -> str:
    """The extras that an image installs, read from its Dockerfile."""
    found = re.search(r'install "\.\[([\w,]+)\]"', (REPOSITORY / "docker" / f"{image}.Dockerfile").read_text())
    assert found
    return found.group(1)


def environment(folder: Path, *packages: str) -> Path:
    """A clean virtual environment with packages in the versions of the lock; its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    locked = {**os.environ, "PIP_CONSTRAINT": str(REPOSITORY / "constraints.txt"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True, env=locked, cwd=REPOSITORY)
    return python


def run(python: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """What a program of an environment does with what is installed there, not with this tree."""
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(python.with_name(command[0])), *command[1:]]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=python.parent, env=alone)


def loads(python: Path, module: str) -> bool:
    return run(python, "python", "-c", f"import {module}").returncode == 0


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("image", "more", "entries", "absent"),
    [
        ("build", (), BUILD_ENTRIES, ("torch", "ray", "mlflow")),
        # With --build-arg RAY=1: the nodes that fill shards.
        ("build", (".[ray]",), (*BUILD_ENTRIES, "croma.nodes"), ("torch", "mlflow")),
        ("train", ("torch==2.13.0",), TRAIN_ENTRIES, ("rasterio", "pystac_client", "stackstac")),
    ],
    ids=["build", "fill", "train"],
)
def test_an_image_is_one_wing(
    tmp_path: Path, image: str, more: tuple[str, ...], entries: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    python = environment(tmp_path / "environment", f".[{extras(image)}]", *more)
    assert [module for module in entries if not loads(python, module)] == []
    assert [module for module in absent if loads(python, module)] == []
    said = run(python, "croma", "recipes")
    assert "demo" in said.stdout, said.stderr
