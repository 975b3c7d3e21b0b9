"""The speck on disk, and what an undisturbed build makes of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from croma.shards.dataset import Dataset
from croma.simulate.world import build_world
from tests.faults.speck import WORLD, build, items, spec
from tests.servers.ranges import FileServer, serve_files
from tests.servers.stac import careless


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_world(WORLD, tmp_path_factory.mktemp("faults") / "world").folder


@pytest.fixture(scope="session")
def calm(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The dataset that nobody disturbs, from files of this machine."""
    with careless(items(world, str(world))) as catalog:
        return build(spec(), catalog.address, str(tmp_path_factory.mktemp("calm")))


@pytest.fixture
def files(world: Path) -> Iterator[FileServer]:
    """The files of the world behind HTTP."""
    with serve_files(world) as server:
        yield server
