"""A build whose storage fails: a real S3 server behind a proxy that lets every 20th write fail."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs

from croma.shards.dataset import Dataset
from croma.shards.reader import verify
from tests.faults.speck import build_at_last, crcs, items, refused, shards, spec
from tests.servers.proxy import FaultProxy, fault_proxy
from tests.servers.stac import careless

pytestmark = pytest.mark.slow

EVERY = 20


@pytest.fixture
def proxy(s3_server: str, s3_root: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """The S3 server of the tests, behind a proxy that is well until told otherwise."""
    with fault_proxy(s3_server, lambda number, path: None) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        s3fs.S3FileSystem.clear_instance_cache()
        yield server
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(("kind", "patient"), [(503, True), ("lost", True), (500, False), ("lost", False)])
def test_a_store_that_fails_every_20th_write(
    world: Path,
    calm: Dataset,
    proxy: FaultProxy,
    s3_root: str,
    monkeypatch: pytest.MonkeyPatch,
    kind: int | str,
    patient: bool,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3" if patient else "1")
    proxy.fault = lambda number, path: kind if number % EVERY == 7 else None
    with careless(items(world, str(world))) as catalog:
        for turn in range(3):  # the count goes on, so that each turn has other writes fail
            uri = f"{s3_root}/turn-{turn}"
            built, _ = build_at_last(spec(), catalog.address, uri)
            assert crcs(built) == crcs(calm)
            assert built.ref.version == 1
            assert shards(uri) == shards(calm.ref.uri)
            assert refused(uri) == refused(calm.ref.uri)
            assert verify(built) == []
    assert proxy.failed >= 3


def test_a_store_that_is_away_stops_the_build_with_a_sentence(
    world: Path, calm: Dataset, proxy: FaultProxy, s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with careless(items(world, str(world))) as catalog:
        for first in (1, 8, 19):  # each time it holds out for some writes more
            proxy.writes, proxy.failed = 0, 0
            proxy.fault = lambda number, path, first=first: 503 if first <= number <= first + 40 else None
            built, stopped = build_at_last(spec(), catalog.address, f"{s3_root}/from-{first}", runs=60)
            assert stopped
            assert all("storage" in str(error) or "s3://" in str(error) for error in stopped)
            assert crcs(built) == crcs(calm)
            assert shards(built.ref.uri) == shards(calm.ref.uri)
