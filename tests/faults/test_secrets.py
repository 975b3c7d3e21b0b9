"""What a build leaves behind, searched for everything that nobody may find there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from croma.shards.dataset import open_dataset, read_header
from croma.shards.ref import DatasetRef
from tests.conftest import REPOSITORY
from tests.faults.speck import items, unreadable
from tests.servers.ranges import serve_files
from tests.servers.sas import token_server
from tests.servers.stac import careless

pytestmark = pytest.mark.slow

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


def texts(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below a folder as it is, and what is compressed in tables as well."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()
            if path.suffix == ".parquet":
                yield path, repr(pq.read_table(path).to_pylist()).encode()


@pytest.mark.timeout(900)
def test_a_signed_build_leaves_no_secret_anywhere(world: Path, tmp_path: Path) -> None:
    home, logs = tmp_path / "home", tmp_path / "logs"
    logs.mkdir()
    (logs / "shared").mkdir()
    with token_server() as tokens, serve_files(world) as files:
        files.good = tokens
        broken, refused, busy = (
            next(str(p.relative_to(world)) for p in world.rglob(pattern))
            for pattern in ("*T33UUA*_B03_*", "*T33UUV*_B04_*", "*vv.rtc.tiff")
        )
        files.faults |= {broken: [404], refused: [403], busy: [503, "fine"]}
        signed = items(world, files.address)
        for item in signed:
            for asset in item["assets"].values():
                asset["href"] += "?se=2020&sig=SECRETOLD"
        with careless(signed) as catalog:
            environment = {
                **{k: v for k, v in os.environ.items() if not k.startswith(("CROMA_", "PREFECT_", "AWS_"))},
                **CREDENTIALS,
                "CROMA_HOME": str(home),
                "CROMA_STORAGE": str(home / "storage"),
                "CROMA_CATALOG": catalog.address,
                "PC_SDK_SAS_URL": f"http://{tokens.host}/token",
                "PREFECT_LOGGING_LEVEL": "DEBUG",
                "PREFECT_LOGGING_TO_API_ENABLED": "true",
            }
            done = subprocess.run(
                [sys.executable, "-m", "tests.faults.signed_build", files.address.removeprefix("http://"), str(logs)],
                capture_output=True,
                cwd=REPOSITORY,
                env=environment,
                check=False,
            )
        assert tokens.asked.total() >= 3
        assert tokens.keys[0] == "SECRET-subscription", "the build has the credentials that it must keep to itself"
    words = done.stdout + done.stderr
    assert done.returncode == 0, words.decode()
    built = open_dataset(DatasetRef.of(str(home / "storage" / "datasets" / "speck")))
    assert read_header(built.ref.uri).sources == ("sentinel-1-rtc", "sentinel-2-l2a", "esa-worldcover")
    assert {row["detail"].partition(": ")[2] for row in unreadable(built.ref.uri)} == {
        "not found (HTTP 404)",
        "access refused (HTTP 403)",
    }
    found = [*texts(home), *((path, data) for path, data in texts(logs) if "shared" not in path.parts)]
    kinds = {path.suffix.partition("-")[0] for path, _ in found}  # SQLite keeps what is new in a .db-wal
    assert {".tar", ".json", ".parquet", ".db", ".log"} <= kinds, "the search covers all that a build writes"
    assert any(b"pairs cut in this run" in data for path, data in found if ".db" in path.name), "artifacts among it"
    leaks = [f"{path}: {word!r}" for path, data in found for word in FORBIDDEN if word in data]
    assert leaks == []
    assert not any(word in words for word in FORBIDDEN)
