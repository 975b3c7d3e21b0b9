import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from croma import storage
from croma.errors import InputError, TransientError


def test_bytes_come_back(root: str) -> None:
    address = storage.join(root, "a", "b.bin")
    storage.write(address, b"one")
    storage.write(address, b"another")
    assert storage.read(address) == b"another"
    assert storage.size(address) == 7


def test_missing_is_file_not_found(root: str) -> None:
    address = storage.join(root, "nothing")
    assert not storage.exists(address)
    with pytest.raises(FileNotFoundError):
        storage.read(address)
    with pytest.raises(FileNotFoundError):
        storage.size(address)
    storage.remove(address)


def test_of_many_creators_one_wins(root: str) -> None:
    address = storage.join(root, "claim")
    start = threading.Barrier(8)

    def claim(number: int) -> bool:
        start.wait()
        return storage.create(address, str(number).encode())

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim, range(8)))
    assert sum(won) == 1
    assert storage.read(address) == str(won.index(True)).encode()


def test_listing_sees_what_is_there_now(root: str) -> None:
    assert storage.list_names(storage.join(root, "cards")) == []
    for name in ("b", "a", "c/d"):
        storage.write(storage.join(root, "cards", name), b"x")
    assert storage.list_names(storage.join(root, "cards")) == ["a", "b", "c"]
    storage.remove(storage.join(root, "cards"), recursive=True)
    assert storage.list_names(storage.join(root, "cards")) == []


def test_files_travel_whole(root: str, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "deep" / "target"
    source.write_bytes(bytes(range(256)) * 40_000)
    storage.upload(source, storage.join(root, "big"))
    storage.download(storage.join(root, "big"), target)
    assert target.read_bytes() == source.read_bytes()


def test_a_walk_finds_every_file_with_its_size_and_time(root: str) -> None:
    assert storage.walk(storage.join(root, "a")) == []
    before = time.time() - 5
    for name, content in {"a/x": b"1", "a/b/y": b"22", "a/b/.z.0a.tmp": b"333", "ab/w": b"4"}.items():
        storage.write(storage.join(root, name), content)
    found = storage.walk(storage.join(root, "a"))
    assert [(entry.address, entry.size) for entry in found] == [
        (storage.join(root, name), size) for name, size in (("a/b/.z.0a.tmp", 3), ("a/b/y", 2), ("a/x", 1))
    ]
    for entry in found:
        assert before < entry.modified < time.time() + 5
        assert storage.modified(entry.address) == pytest.approx(entry.modified, abs=1)
    with pytest.raises(FileNotFoundError):
        storage.modified(storage.join(root, "nothing"))


def test_only_empty_folders_are_pruned(tmp_path: Path) -> None:
    (tmp_path / "empty" / "in" / "empty").mkdir(parents=True)
    storage.write(str(tmp_path / "full" / "x"), b"1")
    storage.prune(str(tmp_path))
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["full", "x"]


def test_failed_download_leaves_nothing(root: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        storage.download(storage.join(root, "nothing"), tmp_path / "d" / "target")
    assert list((tmp_path / "d").iterdir()) == []


def test_no_credentials_is_said(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match="AWS_ACCESS_KEY_ID"):
        storage.read(storage.join(s3_root, "a"))
    s3fs.S3FileSystem.clear_instance_cache()


def test_unknown_protocol_is_said() -> None:
    with pytest.raises(InputError, match="ftp:// is not supported"):
        storage.read("ftp://host/a")


def test_an_unreachable_server_is_transient_even_where_another_one_was_reached(
    s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = storage.join(s3_root, "a")
    storage.write(address, b"a")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9"):
        storage.read(address)
