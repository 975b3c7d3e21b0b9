"""Checkpoints in storage: whole or not there, checked before they are believed, written while training goes on.

A checkpoint is a folder named after its step with `state.pt` and, written last, `manifest.json` with the checksum. The
newest ones and the best one are kept. Rank 0 writes, and decides which one everyone reads.
"""

import hashlib
import io
import json
import logging
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor
from torch import distributed as dist

from croma import distributed, storage
from croma.document import Document
from croma.errors import InputError, TransientError

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Tries of a write that fails for a passing reason; the second waits `PAUSE` seconds, the third twice as long."""
PAUSE = 5.0


class Manifest(Document):
    """What makes a checkpoint one."""

    step: int
    """Steps done."""
    bytes: int
    sha256: str
    """Of `state.pt`."""
    loss: float | None
    """Mean since the checkpoint before; None at the beginning."""


class CheckpointStore:
    """The checkpoints below an address. Implements `croma.training.loop.Checkpoints`."""

    def __init__(self, address: str, keep: int = 2) -> None:
        self._address = address
        self._keep = keep
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._safe: int | None = None
        self.saved_at = time.time()
        """Unix time since when the newest checkpoint is safe; of the start before this worker has written one."""

    def newest(self) -> dict[str, Any] | None:
        """See `Checkpoints`. Damaged ones are passed over with a warning."""
        found: tuple[int, dict[str, Any]] | None = None
        if distributed.rank() == 0:
            found = next(self._whole(), None)
        step = _from_first(None if found is None else found[0])
        self._safe = step
        if step is None:
            return None
        return found[1] if found is not None else self._read(step)

    def save(self, step: int, state: dict[str, Any], loss: float | None) -> None:
        """See `Checkpoints`. Waits for the save before, copies `state`, and writes it in the background."""
        if distributed.rank() == 0:
            self._finish()
            self._writing = self._writer.submit(self._write, step, _copied(state), loss)

    def wait(self) -> None:
        """See `Checkpoints`."""
        self._finish()
        if distributed.world_size() > 1:
            dist.barrier()

    def close(self) -> None:
        """Wait for what is being written, whatever becomes of it."""
        self._writer.shutdown(wait=True)

    def _finish(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def _folder(self, step: int) -> str:
        return storage.join(self._address, f"{step:09d}")

    def _whole(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Checkpoints that are what their manifest says, newest first."""
        for step in sorted(self._steps(), reverse=True):
            try:
                yield step, self._read(step)
            except DamagedError as error:
                log.warning("%s: %s; the checkpoint before it is used", self._folder(step), error)

    def _steps(self) -> list[int]:
        return [int(name) for name in storage.list_names(self._address) if name.isdigit()]

    def _read(self, step: int) -> dict[str, Any]:
        manifest = self._manifest(step)
        if manifest is None:
            raise DamagedError("the manifest is missing or damaged: it was not written to the end")
        try:
            data = storage.read(storage.join(self._folder(step), "state.pt"))
        except FileNotFoundError:
            raise DamagedError("state.pt is missing") from None
        if len(data) != manifest.bytes or hashlib.sha256(data).hexdigest() != manifest.sha256:
            raise DamagedError("state.pt is damaged: its checksum is not that of the manifest")
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return state

    def _manifest(self, step: int) -> Manifest | None:
        address = storage.join(self._folder(step), "manifest.json")
        try:
            return Manifest.parse(json.loads(storage.read(address)), address)
        except (FileNotFoundError, InputError, ValueError):
            return None

    def _write(self, step: int, state: dict[str, Any], loss: float | None) -> None:
        folder = self._folder(step)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._write_once(step, state, loss)
                break
            except (OSError, TransientError) as error:
                if attempt == ATTEMPTS or not isinstance(error, TransientError):
                    safe = "nothing is saved yet" if self._safe is None else f"step {self._safe} is safe"
                    raise TransientError(
                        f"{folder}: the checkpoint of step {step} could not be written ({error}); {safe}. "
                        "Make room or restore access and start the run again: it goes on from there"
                    ) from error
                log.warning("%s: %s; trying again", folder, error)
                time.sleep(PAUSE * attempt)
        self._safe = step
        self.saved_at = time.time()
        log.debug("%s: saved", folder)
        self._prune()

    def _write_once(self, step: int, state: dict[str, Any], loss: float | None) -> None:
        folder = self._folder(step)
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "state.pt"
            with path.open("wb") as file:
                hashed = _Hashed(file)
                torch.save(state, hashed)  # type: ignore[arg-type]
            storage.remove(storage.join(folder, "manifest.json"))
            storage.upload(path, storage.join(folder, "state.pt"))
        manifest = Manifest(step=step, bytes=hashed.count, sha256=hashed.digest.hexdigest(), loss=loss)
        storage.write(storage.join(folder, "manifest.json"), manifest.to_json())

    def _prune(self) -> None:
        """Remove all but the newest and the best; what cannot be removed now is removed the next time."""
        try:
            superfluous = self._superfluous()
        except (OSError, TransientError) as error:
            log.warning("%s: old checkpoints could not be looked for (%s)", self._address, error)
            return
        for step in superfluous:
            try:  # the manifest goes first, so that no half is taken for a whole
                storage.remove(storage.join(self._folder(step), "manifest.json"))
                storage.remove(self._folder(step), recursive=True)
            except (OSError, TransientError) as error:
                log.warning("%s: could not be removed (%s)", self._folder(step), error)

    def _superfluous(self) -> set[int]:
        found = {step: manifest for step in self._steps() if (manifest := self._manifest(step)) is not None}
        kept = set(sorted(found)[-self._keep :])
        scored = {step: manifest.loss for step, manifest in found.items() if manifest.loss is not None}
        if scored:
            kept.add(min(scored, key=lambda step: scored[step]))
        return set(self._steps()) - kept


class DamagedError(Exception):
    """A checkpoint is not what it should be."""


class _Hashed:
    """A file that is hashed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.count = 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.count += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _copied(value: Any) -> Any:
    """Tensors in fresh host memory, everything around them as it is."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(item) for item in value)
    return value


def _from_first(value: Any) -> Any:
    """Rank 0's value, on every rank."""
    if distributed.world_size() > 1:
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]
    return value
