"""What a build leaves behind, searched for everything that nobody may find there."""

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import planetary_computer.settings
import pyarrow.parquet as pq
import pytest

from croma.catalog.signing import default_signer
from croma.shards.dataset import read_header
from flows.build_dataset import build_dataset
from flows.site import Site
from tests.faults.speck import items, spec, unreadable
from tests.servers.ranges import FileServer
from tests.servers.sas import TokenServer, token_server
from tests.servers.stac import careless

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CREDENTIALS = {
    "PC_SDK_SUBSCRIPTION_KEY": "SECRET-subscription",
    "AWS_ACCESS_KEY_ID": "SECRET-access",
    "AWS_SECRET_ACCESS_KEY": "SECRET-key",
    "AWS_SESSION_TOKEN": "SECRET-session",
    "MLFLOW_TRACKING_PASSWORD": "SECRET-password",
    "RAY_AUTH_TOKEN": "SECRET-ray",
}
FORBIDDEN = (b"SECRET", b"sig=", b"sig%3D", b"Signature=")
"""Every token and credential of this test has the first in it; the others show a signature whatever it is."""
EXAMPLE = b"sig=SIGNATURE"
"""In Prefect's own description of an address that it can send notices to."""
OURS = ("", "croma", "flows", "prefect", "prefect.flow_runs", "prefect.task_runs")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """A file with everything that is logged by anybody, however detailed."""
    handler = logging.FileHandler(tmp_path / "everything.log")
    levels = {name: logging.getLogger(name).level for name in OURS}
    for name in OURS:
        logging.getLogger(name).setLevel(logging.DEBUG)
    heads = [logging.getLogger(name) for name in OURS if not name or not logging.getLogger(name).propagate]
    for logger in heads:
        logger.addHandler(handler)
    yield tmp_path / "everything.log"
    for logger in heads:
        logger.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    handler.close()


@pytest.fixture
def tokens(files: FileServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    """A token service without which no file is read, and credentials for everything in the environment."""
    with token_server() as server:
        files.good = server
        for name, value in {**CREDENTIALS, "PC_SDK_SAS_URL": f"http://{server.host}/token"}.items():
            monkeypatch.setenv(name, value)
        for cached in (default_signer, planetary_computer.settings.Settings.get):
            cached.cache_clear()
        default_signer().domain, default_signer().folder = files.address.removeprefix("http://"), None
        yield server
        for cached in (default_signer, planetary_computer.settings.Settings.get):
            cached.cache_clear()


def texts(paths: list[Path]) -> Iterator[tuple[Path, bytes]]:
    """Every file as it is, and what tables and databases hold."""
    for path in paths:
        yield path, path.read_bytes()
        if path.suffix == ".parquet":
            yield path, repr(pq.read_table(path).to_pylist()).encode()
        if path.suffix == ".db":
            yield path, "\n".join(sqlite3.connect(path).iterdump()).encode()


def test_a_signed_build_leaves_no_secret_anywhere(
    world: Path,
    tmp_path: Path,
    prefect_server: Path,
    files: FileServer,
    tokens: TokenServer,
    log: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    broken, refused, busy = (
        next(str(p.relative_to(world)) for p in world.rglob(pattern))
        for pattern in ("*T33UUA*_B03_*", "*T33UUV*_B04_*", "*vv.rtc.tiff")
    )
    files.faults |= {broken: [404], refused: [403], busy: [503, "fine"]}
    signed = items(world, files.address)
    for item in signed:
        for asset in item["assets"].values():
            asset["href"] += "?se=2020&sig=SECRETOLD"
    home = tmp_path / "home"
    with careless(signed) as catalog:
        ref = build_dataset(
            spec(labels={}),
            Site(catalog=catalog.address, storage=str(home / "storage"), home=home, build_ray=""),
        )
    assert tokens.asked.total() >= 3
    assert tokens.keys[0] == "SECRET-subscription", "the build has the credentials that it must keep to itself"
    assert read_header(ref.uri).sources == ("sentinel-1-rtc", "sentinel-2-l2a", "esa-worldcover")
    assert {row["detail"].partition(": ")[2] for row in unreadable(ref.uri)} == {
        "not found (HTTP 404)",
        "access refused (HTTP 403)",
    }
    left = [path for path in home.rglob("*") if path.is_file()]
    assert {".tar", ".json", ".parquet", ".html", ".db"} <= {path.suffix for path in left}
    found = list(texts([*left, log, prefect_server]))
    for kept in (b"pairs cut in this run", b"'Shards of speck'"):
        assert any(kept in data for path, data in found if path == prefect_server), kept
    assert any(b"Finished in state Completed" in data for path, data in found if path == log)
    printed = "".join(capfd.readouterr()).encode()
    found.append((Path("printed"), printed))
    leaks = [f"{path}: {word!r}" for path, data in found for word in FORBIDDEN if word in data.replace(EXAMPLE, b"")]
    assert leaks == []
