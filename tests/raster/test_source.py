from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from croma.errors import TransientError, UnusableError
from croma.raster import source
from croma.raster.faults import RefusedError, redact
from croma.raster.source import open_source
from tests.servers.ranges import FileServer, serve_files

DATA = bytes(range(256)) * 4096


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    (tmp_path / "a.bin").write_bytes(DATA)
    with serve_files(tmp_path) as state:
        yield state


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    quick = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=5), "base": 2}
    monkeypatch.setattr(source, "_RETRY", {"max_retries": 3, "backoff": quick})
    monkeypatch.setattr(source, "PAUSE", 0.001)
    source._host.cache_clear()


def read(href: str, *ranges: tuple[int, int]) -> list[bytes]:
    starts, lengths = zip(*ranges, strict=True)
    return [bytes(part) for part in open_source(href).ranges(starts, lengths)]


@pytest.mark.parametrize("kind", ["path", "file", "http"])
def test_ranges_are_the_bytes_of_the_file(server: FileServer, tmp_path: Path, kind: str) -> None:
    path = str(tmp_path / "a.bin")
    href = {"path": path, "file": f"file://{path}", "http": server.url("a.bin")}[kind]
    size = len(DATA)
    found = read(href, (0, 10), (700_000, 300), (5, 1), (size - 4, 100))
    assert found == [DATA[:10], DATA[700_000:700_300], DATA[5:6], DATA[-4:]]


def test_neighbours_are_fetched_as_one_and_strangers_side_by_side(server: FileServer) -> None:
    read(server.url("a.bin"), (0, 100), (200, 100), (1000, 50), (900_000, 10))
    assert sorted(server.ranges) == [("a.bin", 0, 1050), ("a.bin", 900_000, 900_010)]


def test_connections_are_shared_by_the_files_of_a_host(server: FileServer, tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.bin").write_bytes(DATA)
        read(server.url(f"{number}.bin"), (0, 10))
    assert len(server.connections) == 1


@pytest.mark.parametrize("name", ["a b+c.bin", "100%.bin", "ü#1.bin"])
def test_names_that_must_be_quoted_are_found(server: FileServer, tmp_path: Path, name: str) -> None:
    from urllib.parse import quote

    (tmp_path / name).write_bytes(DATA)
    assert read(server.url(quote(name)), (1, 3)) == [DATA[1:4]]
    assert read(str(tmp_path / name), (1, 3)) == [DATA[1:4]]
    assert read(f"file://{quote(str(tmp_path / name))}", (1, 3)) == [DATA[1:4]]


def test_a_signature_is_sent_as_it_is(server: FileServer) -> None:
    server.good = {"sv=2024&sig=a%2Bb%3D"}
    assert read(server.url("a.bin?sv=2024&sig=a%2Bb%3D"), (1, 3)) == [DATA[1:4]]
    with pytest.raises(RefusedError, match="access refused"):
        read(server.url("a.bin?sv=2024&sig=other"), (1, 3))


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_asks_for_another_signature(server: FileServer, status: int) -> None:
    server.faults["a.bin"] = [status]
    with pytest.raises(RefusedError, match=str(status)):
        read(server.url("a.bin"), (0, 10))


@pytest.mark.parametrize("status", [400, 404, 410])
def test_what_will_not_change_is_unusable(server: FileServer, status: int) -> None:
    server.faults["a.bin"] = [status]
    with pytest.raises(UnusableError, match=str(status)):
        read(server.url("a.bin"), (0, 10))
    assert server.requests["a.bin"] == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(server: FileServer, status: int) -> None:
    server.faults["a.bin"] = [status, status, "fine"]
    assert read(server.url("a.bin"), (0, 10)) == [DATA[:10]]
    server.faults["a.bin"] = [status]
    with pytest.raises(TransientError, match=str(status)):
        read(server.url("a.bin"), (0, 10))


def test_a_transfer_that_breaks_off_is_begun_again(server: FileServer) -> None:
    server.faults["a.bin"] = ["cut", "cut", "fine"]
    assert read(server.url("a.bin"), (0, 1000)) == [DATA[:1000]]


def test_a_transfer_that_always_breaks_off_is_the_fault_of_the_file(server: FileServer) -> None:
    server.faults["a.bin"] = ["cut"]
    with pytest.raises(UnusableError, match="broke off"):
        read(server.url("a.bin"), (0, 1000))


def test_a_server_without_ranges_is_of_no_use(server: FileServer) -> None:
    server.faults["a.bin"] = ["whole"]
    with pytest.raises(UnusableError, match="range requests"):
        read(server.url("a.bin"), (0, 10))


@pytest.mark.parametrize("href", ["http://127.0.0.1:9/a.bin?sig=SECRET", "http://nowhere.invalid/a.bin?sig=SECRET"])
def test_nobody_there_is_transient_and_no_secret_is_said(href: str) -> None:
    with pytest.raises(TransientError) as caught:
        read(href, (0, 10))
    assert "SECRET" not in str(caught.value)


def test_azure_containers_are_read_with_their_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[Any, ...]] = []
    monkeypatch.setattr(source, "AzureStore", lambda *args, **options: made.append((args, options)))
    source._container.cache_clear()
    for name in ("x/a.tif", "y/b.tif"):
        href = f"https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/{name}?st=1&sig=a%2B"
        assert source._place(href)[1] == name
    ((args, options),) = made
    assert args == ("sentinel2-l2",)
    assert (options["account_name"], options["sas_key"]) == ("sentinel2l2a01", "st=1&sig=a%2B")
    source._container.cache_clear()


def test_s3_objects_are_read_with_the_environment(s3_root: str) -> None:
    from croma import storage

    source._bucket.cache_clear()
    storage.write(f"{s3_root}/folder/a.bin", DATA)
    assert read(f"{s3_root}/folder/a.bin", (10, 20)) == [DATA[10:30]]
    with pytest.raises(UnusableError, match="not found"):
        read(f"{s3_root}/folder/b.bin", (10, 20))


def test_redaction_removes_every_query() -> None:
    text = "GET https://a.b/c.tif?sig=SECRET&se=1 failed,\n then 'http://x/y?token=SECRET' too"
    assert redact(text) == "GET https://a.b/c.tif failed, then 'http://x/y' too"
