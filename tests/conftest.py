"""What tests of every room share: real samples, a real S3 server, small chips."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from croma.chip import Chip
from croma.grid import Cell

REPOSITORY = Path(__file__).parent.parent

# Nothing a test starts may report home or look for a cluster.
os.environ.update(DO_NOT_TRACK="1", MLFLOW_DISABLE_TELEMETRY="true", RAY_USAGE_STATS_ENABLED="0")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files whose every test is left out are not imported: Prefect's test tools alone take ten seconds."""
    left_out = [mark for mark in ("slow", "stack", "long") if f"not {mark}" in config.option.markexpr]
    if not left_out or collection_path.suffix != ".py":
        return None
    words = rf"^pytestmark = \[?pytest\.mark\.({'|'.join(left_out)})\b"
    return True if re.search(words, collection_path.read_text(), re.MULTILINE) else None


@pytest.fixture(scope="session")
def real_samples() -> Path:
    """The folder of real Sentinel samples; tests over them are skipped where it is absent."""
    folder = Path(os.environ.get("CROMA_REAL_SAMPLES", REPOSITORY.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip(f"no real samples at {folder.name}: set CROMA_REAL_SAMPLES to their folder")
    return folder


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server (moto) on loopback."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(address, timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def s3_root(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket, with the environment set so that every client finds it."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"croma-{time.time_ns()}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}"


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place in storage: a local folder, then an S3 bucket."""
    return str(tmp_path) if request.param == "local" else str(request.getfixturevalue("s3_root"))


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[Path]:
    """A Prefect server of this session's own, which every flow in this process talks to; its database."""
    from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield Path(str(PREFECT_SERVER_DATABASE_CONNECTION_URL.value()).partition("///")[2])


@pytest.fixture
def make_chip() -> Callable[..., Chip]:
    """A function that makes chips of noise: `make_chip(number, size=24, label=False, **facts)`."""
    return random_chip


def random_chip(number: int, size: int = 24, label: bool = False, **facts: object) -> Chip:
    """A chip of noise that `number` determines, with plausible facts."""
    rng = np.random.default_rng(number)
    cell = Cell(32633, 399960 + 1200 * number, 5400000)
    return Chip(
        id=f"{cell}_20210623_{number:08x}",
        cell=cell,
        radar=rng.normal(-12, 4, (2, size, size)).astype(np.float16),
        optical={
            10: rng.integers(1, 10_000, (4, size, size), np.uint16),
            20: rng.integers(1, 10_000, (6, size // 2, size // 2), np.uint16),
            60: rng.integers(1, 10_000, (2, size // 6, size // 6), np.uint16),
        },
        label=rng.choice([10, 30, 40, 50, 80], (size, size)).astype(np.uint8) if label else None,
        facts={
            "longitude": 13.0,
            "latitude": 48.7,
            "radar_scene": f"S1-{number}",
            "optical_scene": f"S2-{number}",
            "radar_time": "2021-06-23T05:10:00+00:00",
            "optical_time": "2021-06-23T10:10:00+00:00",
            "gap_hours": -5.0,
            "optical_nodata": 0.0,
            "radar_nodata": 0.0,
            "resampled": False,
            "reader": "window",
            "label": 10 if label else None,
            "label_shares": {"10": 1.0} if label else None,
            **facts,
        },
    )
