import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import object_store
from benchmarks.forms import make
from benchmarks.load import installed, store_of, summarise, table
from benchmarks.loaders import BUCKET, LOADERS, Job

WITH_PLANES = [name for name in LOADERS if name not in ("preadv", "plain GET", "webdataset float32")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("forms")
    make(place, shards=1, size=24)
    return place


def pixels(name: str, job: Job) -> tuple[int, int]:
    """Samples of an epoch, and the sum of one band group over them."""
    count = total = 0
    for batch in LOADERS[name](job):
        count += len(batch["s1"])
        total += int(batch["s2_10m"].numpy().astype("int64").sum())
    return count, total


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_PLANES)
def test_all_loaders_load_the_same(folder: Path, tmp_path: Path, name: str) -> None:
    if not installed(name):
        pytest.skip(f"{name} is not installed: make bench-load installs it")
    job = Job(folder=str(folder), scratch=str(tmp_path), workers=1)
    assert pixels(name, job) == pixels("ours", job)
    assert pixels(name, job)[0] == 256


@pytest.mark.slow
@pytest.mark.skipif(not object_store.is_there(), reason="needs nginx with its echo module")
def test_ours_streams_what_it_reads_locally(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = Job(folder=str(folder), scratch=str(tmp_path / "none"))
    with store_of(folder) as address:
        for key, value in {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}.items():
            monkeypatch.setenv(key, value)
        assert pixels("ours", Job(folder=str(folder), scratch=str(tmp_path / "cache"), store=address)) == pixels(
            "ours", local
        )
        shard = local.shards[0]
        url = f"{address}/{BUCKET}/{shard.relative_to(folder)}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Range": "bytes=512-1023"})) as answer:
            assert answer.read() == shard.read_bytes()[512:1024]


def test_the_floor_reads_every_batch(folder: Path, tmp_path: Path) -> None:
    job = Job(folder=str(folder), scratch=str(tmp_path), epochs=3, batch=100)
    assert sum(len(batch["s1"]) for batch in LOADERS["preadv"](job)) == 700


def test_a_resumed_loader_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    job = Job(folder=str(folder), scratch=str(tmp_path))
    later = Job(folder=str(folder), scratch=str(tmp_path), start=2)
    whole = [batch["s1"].clone() for batch in LOADERS["ours"](job)]
    rest = [batch["s1"].clone() for batch in LOADERS["ours"](later)]
    assert len(rest) == len(whole) - 2
    assert all((a == b).all() for a, b in zip(rest, whole[2:], strict=True))


def test_the_table_compares_with_ours() -> None:
    runs = [{"samples": 100, "seconds": s, "first_batch": 0.5, "cpu": 0.1} for s in (1.0, 2.0, 4.0)]
    rows = [{"loader": "ours", **summarise(runs, False)}, {"loader": "theirs", **summarise(runs[2:], False)}]
    text = table(rows, ["another"])
    assert "| ours | 50 | 25 to 100 | 1.00 | 500 | 1,000 |" in text
    assert "| theirs | 25 | 25 to 25 | 2.00 |" in text
    assert "| another | not installed |" in text
    cold = [{"cold_samples": 90, "cold_seconds": 3.0, "samples": 1, "seconds": 1.0, "first_batch": 1.0, "cpu": 0.0}]
    assert summarise(cold, True)["samples_per_second"] == 30


def test_a_missing_peer_is_known() -> None:
    assert installed("ours")
    assert installed("webdataset float32") == (find_spec("webdataset") is not None)
