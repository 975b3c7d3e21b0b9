"""The main job as a user runs it, on a small world: twice, killed, and looked into."""

import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from croma.evaluation.history import read_artifact
from croma.shards.dataset import open_dataset
from croma.shards.ref import DatasetRef
from croma.tracking.records import read_runs
from croma.tracking.tracker import local_tracker
from tests.end_to_end.conftest import RECIPE, Run, command, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def shards(home: Path) -> dict[str, str]:
    """sha256 of every shard by its name."""
    files = sorted((home / "storage" / "datasets" / "tiny" / "shards").glob("*/*.tar"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_whole_way_and_again(croma: Run, stac: str, tmp_path: Path) -> None:
    first = croma("run", str(RECIPE), CROMA_CATALOG=stac)
    assert first.returncode == 0, first.stderr
    for word in ("knn/radar/top1", "untrained", "band-statistics", "contrast", "where to look"):
        assert word in first.stdout
    built = shards(tmp_path)
    assert built
    check_no_address_is_signed(tmp_path / "storage/datasets/tiny")

    again = croma("run", str(RECIPE), CROMA_CATALOG=stac)
    assert again.returncode == 0, again.stderr
    assert "0 chips in 0 shards to cut" in again.stderr
    assert "trained already" in again.stderr
    assert "judged already" in again.stderr
    assert shards(tmp_path) == built
    assert open_dataset(DatasetRef(uri=str(tmp_path / "storage/datasets/tiny"))).ref.version == 1

    looked = croma("inspect", "tiny", "--verify", "--versions")
    assert looked.returncode == 0
    assert "every checksum agrees" in looked.stdout
    check_description(tmp_path)
    nothing = croma("vacuum", "tiny", "--yes")
    assert "nothing removed" in nothing.stdout
    damage(next((tmp_path / "storage/datasets/tiny/shards/train").glob("*.tar")))
    damaged = croma("inspect", "tiny@1", "--verify")
    assert damaged.returncode == 1
    assert "is damaged (checksum differs)" in damaged.stderr
    missing = croma("inspect", "tiny@9")
    assert missing.returncode == 2
    assert "no version 9; versions 0 to 1 exist" in missing.stderr

    exported = croma("export", next(iter(weights(tmp_path))), str(tmp_path / "croma.pt"))
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "croma.pt").stat().st_size > 100_000


def check_no_address_is_signed(folder: Path) -> None:
    header = json.loads((folder / "dataset.json").read_text())
    assert header["sources"] == ["sentinel-1-rtc", "sentinel-2-l2a", "esa-worldcover"]
    for path in folder.rglob("*.json"):
        assert "sig=" not in path.read_text()


def check_description(home: Path) -> None:
    """The version has its report and metadata, checks found nothing wrong, and both servers know of it, once."""
    folder = home / "storage/datasets/tiny/versions/1"
    names = {path.name for path in folder.iterdir()}
    assert {"report.html", "collection.json", "items.parquet", "croissant.json", "README.md"} <= names
    found = {check["name"]: check["verdict"] for check in json.loads((folder / "checks.json").read_text())}
    assert "failed" not in found.values()
    assert (found["offset"], found["blank"]) == ("passed", "passed")
    tracker = local_tracker(home)
    [run] = read_runs(tracker, "datasets", {"croma.kind": "dataset"})
    assert run.params["offset"] == "passed"
    assert read_artifact(tracker, run.id, "report.html") == (folder / "report.html").read_bytes()


def weights(home: Path) -> list[str]:
    return [str(path) for path in (home / "storage" / "runs").glob("*/weights/weights.safetensors")]


def damage(path: Path) -> None:
    """Flip one bit in the first plane of the first chip."""
    data = bytearray(path.read_bytes())
    data[2000] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.long  # tests/faults kills the same build 20 times in the time that this takes
def test_killed_build_ends_like_one_that_was_not(stac: str, tmp_path: Path) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    for home in (calm, killed):
        home.mkdir()
    subprocess.run(
        command("build", str(RECIPE)), env=environment(calm, CROMA_CATALOG=stac), check=True, capture_output=True
    )
    environment_killed = environment(killed, CROMA_CATALOG=stac, CROMA_THREADS="1")
    cards = killed / "storage" / "datasets" / "tiny" / "cards"
    process = subprocess.Popen(
        command("build", str(RECIPE)), env=environment_killed, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not (cards.is_dir() and len(list(cards.glob("*.json"))) >= 3):
        assert process.poll() is None, "the build ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < len(shards(killed)) < len(shards(calm))
    assert not (killed / "storage/datasets/tiny/index/_delta_log").exists()

    subprocess.run(command("build", str(RECIPE)), env=environment_killed, check=True, capture_output=True)
    assert shards(killed) == shards(calm)
    rows = [open_dataset(DatasetRef(uri=str(home / "storage/datasets/tiny"))).rows for home in (calm, killed)]
    assert rows[0].equals(rows[1])
