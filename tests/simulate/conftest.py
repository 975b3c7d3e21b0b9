"""Worlds that the tests of this room share."""

import os
from collections.abc import Iterator

import pytest
from filelock import FileLock

from croma.simulate.frame import Column, Frame
from croma.simulate.ground import Ground, Land
from croma.simulate.spec import TINY
from croma.simulate.world import World, build_world


@pytest.fixture(scope="session")
def frame() -> Frame:
    return Frame(TINY)


@pytest.fixture(scope="session")
def ground(frame: Frame) -> Ground:
    return Ground(frame)


@pytest.fixture(scope="session")
def lands(frame: Frame, ground: Ground) -> dict[Column, Land]:
    return {"west": ground.land(frame.ground_box("west")), "east": ground.land(frame.ground_box("east"))}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Everything the demo world has, on 5.1 km tiles; one for all workers of a run."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with FileLock(shared / "tiny.lock"):
        return build_world(TINY, shared / "tiny")


@pytest.fixture(scope="session")
def address(world: World) -> Iterator[str]:
    with world.serve() as url:
        yield url
