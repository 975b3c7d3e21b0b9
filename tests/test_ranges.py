from collections.abc import Iterator

import pytest

from croma import ranges, storage


def test_a_range_comes_at_once(root: str) -> None:
    address = storage.join(root, "a", "b.bin")
    storage.write(address, b"another")
    assert ranges.read_range(address, 2, 3) == b"oth"
    assert ranges.read_range(address, 5, 100) == b"er"


def joined(address: str, offset: int, length: int) -> bytes:
    return b"".join(bytes(piece) for piece in ranges.read_pieces(address, offset, length))


def test_pieces_make_up_the_range(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address, data = storage.join(root, "a b", "c.bin"), bytes(range(256)) * 4_000
    storage.write(address, data)
    assert joined(address, 7, 700_000) == data[7:700_007]
    assert joined(address, len(data) - 5, 100) == data[-5:]
    with pytest.raises(FileNotFoundError):
        joined(storage.join(root, "nothing"), 0, 10)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # obstore's way; it leaves loopback alone
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert joined(address, 7, 700_000) == data[7:700_007]


def test_buffers_are_filled(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address, data = storage.join(root, "c.bin"), bytes(range(256)) * 4_000
    storage.write(address, data)
    memory = bytearray(700_000)
    places = [memoryview(memory)[:100], memoryview(memory)[100:100], memoryview(memory)[100:]]

    def filled(offset: int) -> bytes:
        memory[:] = bytes(len(memory))
        return bytes(memory[: ranges.read_into(address, offset, places)])

    for _ in range(2):
        assert filled(7) == data[7:700_007]
        assert filled(len(data) - 500) == data[-500:]
        with pytest.raises(FileNotFoundError):
            ranges.read_into(storage.join(root, "nothing"), 0, places)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # obstore's way; it leaves loopback alone
        monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_plain_http_needs_no_other_client(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address, data = storage.join(s3_root, "b.bin"), bytes(range(256)) * 4_000
    storage.write(address, data)
    monkeypatch.delattr(ranges.obstore, "get")
    assert joined(address, 7, 700_000) == data[7:700_007]


def test_pieces_go_on_where_the_wire_breaks(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address, data = storage.join(s3_root, "b.bin"), bytes(range(256)) * 4_000
    storage.write(address, data)

    def breaks(_: str, offset: int, __: int) -> Iterator[memoryview]:
        yield memoryview(data)[offset : offset + 1_000]
        raise ConnectionResetError

    monkeypatch.setattr(ranges.wire, "get_range", breaks)
    assert joined(address, 7, 700_000) == data[7:700_007]
