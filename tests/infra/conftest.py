"""A stack of real servers for the slow tests of this folder, started once."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from croma.simulate.spec import TINY
from croma.simulate.world import build_world
from infra.local.stack import imagery, parts
from infra.local.stack.site import StackSite


@pytest.fixture(scope="session")
def site() -> Iterator[StackSite]:
    """A stack of its own, with the tiny world in its catalog and bucket."""
    for program in ("ceph-osd", "radosgw"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: run tools/system-packages.sh as root")
    # Not below pytest's folder: PostgreSQL runs as its own user and must be able to go there.
    home = Path(tempfile.mkdtemp(prefix="croma-drill-"))
    home.chmod(0o755)
    before = dict(os.environ)
    # With one CPU a node, two workers of a training are on two nodes, and the loss of one is felt.
    site = StackSite(home, shift=300, cpus=1)
    running: list[psutil.Process] = []
    try:
        with parts.running(site, print):
            imagery.load(site, build_world(TINY, home / "tiny").folder)
            os.environ.update(site.environment())
            yield site
            for process in filter(None, (part.find() for part in parts.parts(site))):
                running += [process, *process.children(recursive=True)]
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(site.runtime, ignore_errors=True)
    alive = [process for process in running if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert alive == [], "the stack left processes behind"
