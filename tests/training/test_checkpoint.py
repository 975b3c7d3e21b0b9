import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from croma import storage
from croma.errors import TransientError
from croma.training import checkpoint
from croma.training.checkpoint import CheckpointStore


def state(step: int) -> dict[str, Any]:
    weights = {"w": torch.full((50,), float(step)), "half": torch.ones(3, dtype=torch.bfloat16)}
    optimiser = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.rand(5)}}, "param_groups": [{"lr": 0.1}]}
    return {"objective": weights, "optimiser": optimiser, "progress": {"step": step, "left_out": [3]}}


def saved(address: str, *steps: int, keep: int = 2, losses: dict[int, float] | None = None) -> CheckpointStore:
    store = CheckpointStore(address, keep)
    for step in steps:
        store.save(step, state(step), (losses or {}).get(step, 1.0 / step))
    store.wait()
    return store


def steps(address: str) -> list[int]:
    return [int(name) for name in storage.list_names(address)]


def newest(address: str) -> int | None:
    found = CheckpointStore(address).newest()
    return None if found is None else int(found["progress"]["step"])


def test_what_was_saved_is_read(root: str) -> None:
    address = storage.join(root, "checkpoints")
    before = state(7)
    store = CheckpointStore(address)
    store.save(7, before, 1.0)
    expected = {name: tensor.clone() for name, tensor in before["objective"].items()}
    before["objective"]["w"].zero_()  # changing it after save returned changes nothing
    store.wait()
    found = CheckpointStore(address).newest()
    assert found is not None
    assert all(torch.equal(found["objective"][name], expected[name]) for name in expected)
    assert found["optimiser"]["param_groups"] == before["optimiser"]["param_groups"]
    assert torch.equal(found["optimiser"]["state"][0]["exp_avg"], before["optimiser"]["state"][0]["exp_avg"])
    assert found["progress"] == before["progress"]


def test_it_is_known_since_when_a_checkpoint_is_safe(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path))
    start = store.saved_at
    store.save(3, state(3), 1.0)
    store.wait()
    assert start < store.saved_at <= time.time()


def test_nothing_saved_is_nothing(root: str) -> None:
    assert CheckpointStore(storage.join(root, "checkpoints")).newest() is None


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    losses = {1: 5.0, 2: 1.0, 3: 4.0, 4: 3.0, 5: 2.0}
    saved(str(tmp_path), *losses, losses=losses)
    assert steps(str(tmp_path)) == [2, 4, 5]
    assert newest(str(tmp_path)) == 5


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_damaged_ones_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved(str(tmp_path), 1, 2, 3, 4, 5, 6, keep=6)
    folder = [tmp_path / f"{step:09d}" for step in range(7)]
    flip(folder[6] / "state.pt")
    (folder[5] / "manifest.json").unlink()  # killed before it was written
    (folder[4] / "manifest.json").write_text('{"step": 4, "by')
    (folder[3] / "state.pt").write_bytes((folder[3] / "state.pt").read_bytes()[:-10])
    (folder[2] / "state.pt").unlink()
    with caplog.at_level(logging.WARNING):
        assert newest(str(tmp_path)) == 1
    sentences = [
        "000000006: state.pt is damaged",
        "000000005: the manifest is missing or damaged",
        "000000004: the manifest is missing or damaged",
        "000000003: state.pt is damaged",
        "000000002: state.pt is missing",
    ]
    assert all(sentence in caplog.text for sentence in sentences)
    assert caplog.text.count("the checkpoint before it is used") == 5


def test_a_damaged_one_is_written_again(tmp_path: Path) -> None:
    saved(str(tmp_path), 1, 2)
    flip(tmp_path / "000000002" / "state.pt")
    saved(str(tmp_path), 2)
    assert newest(str(tmp_path)) == 2


def test_a_manifest_never_vouches_for_other_bytes(tmp_path: Path) -> None:
    # Writing a step again removes its manifest first, so a crash in between leaves no false promise.
    saved(str(tmp_path), 1, 2)
    code = (
        "import os, sys; from croma import storage; storage.upload = lambda *_: os._exit(9);"
        "from croma.training.checkpoint import CheckpointStore; store = CheckpointStore(sys.argv[1]);"
        "store.save(2, {'progress': {'step': 2}}, 1.0); store.wait()"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    assert not (tmp_path / "000000002" / "manifest.json").exists()
    assert newest(str(tmp_path)) == 1


def test_a_full_disk_is_a_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = saved(str(tmp_path), 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "upload", full)
    store.save(2, state(2), 0.5)
    with pytest.raises(
        TransientError, match=r"step 2 could not be written .*No space left.*; step 1 is safe\. Make room"
    ):
        store.save(3, state(3), 0.5)
    assert newest(str(tmp_path)) == 1


def test_an_unreachable_store_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    upload, failures = storage.upload, iter([True, True, False, *[True] * 10])

    def flaky(local: Path, address: str) -> None:
        if next(failures):
            raise TransientError("503 slow down")
        upload(local, address)

    monkeypatch.setattr(storage, "upload", flaky)
    monkeypatch.setattr(checkpoint, "PAUSE", 0.001)
    store = saved(str(tmp_path), 1)
    assert caplog.text.count("503 slow down; trying again") == 2
    store.save(2, state(2), 0.5)
    with pytest.raises(TransientError, match="step 2 could not be written"):
        store.wait()
    assert newest(str(tmp_path)) == 1


def test_saving_does_not_wait_for_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = storage.upload

    def slow(local: Path, address: str) -> None:
        time.sleep(0.3)
        upload(local, address)

    monkeypatch.setattr(storage, "upload", slow)
    store = CheckpointStore(str(tmp_path))
    began = time.perf_counter()
    store.save(1, state(1), 1.0)
    assert time.perf_counter() - began < 0.2
    store.close()
    assert newest(str(tmp_path)) == 1


def test_checkpoints_run_no_code(tmp_path: Path) -> None:
    # A pickle that would do something when loaded is refused, checksum and all.
    import hashlib
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "evil"),))

    data = pickle.dumps(Evil())
    folder = tmp_path / "checkpoints" / "000000001"
    folder.mkdir(parents=True)
    (folder / "state.pt").write_bytes(data)
    manifest = {"step": 1, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "loss": None}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(pickle.UnpicklingError):
        CheckpointStore(str(tmp_path / "checkpoints")).newest()
    assert not (tmp_path / "evil").exists()
