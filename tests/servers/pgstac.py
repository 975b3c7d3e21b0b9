"""stac-fastapi over pgstac on a PostgreSQL of its own: the STAC API that is right in everything."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.local.stack import postgres, stac
from infra.local.stack.site import PORTS, StackSite
from tests.conftest import free_port
from tests.servers.stac import collection


@contextmanager
def pgstac(items: list[dict[str, Any]]) -> Iterator[str]:
    """The address of a server that holds `items`; the test is skipped where PostgreSQL with PostGIS is missing."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        pytest.skip("no PostgreSQL: tools/system-packages.sh installs it")
    home = Path(tempfile.mkdtemp(prefix="croma-pgstac-"))
    home.chmod(0o755)  # the server's own user must get in
    site = StackSite(home=home, shift=free_port() - PORTS["stac"])
    servers = [postgres.process(site), stac.process(site)]
    try:
        for server in servers:
            server.start()
        stac.load(site, [collection(name) for name in sorted({item["collection"] for item in items})], items)
        yield site.address("stac")
    finally:
        for server in reversed(servers):
            server.stop()
        shutil.rmtree(home, ignore_errors=True)
