"""What the processes of one machine share: small files in memory that only this user can read, one writer at a time."""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path


def private_folder() -> Path | None:
    """A folder that only this user can read, in memory where the machine has one; None if it cannot be private."""
    memory = Path("/dev/shm")  # noqa: S108 (what is made there is private, and checked)
    folder = (memory if memory.is_dir() else Path(tempfile.gettempdir())) / f"croma-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    return folder if private else None


@contextmanager
def shared_file(folder: Path, name: str) -> Iterator[Path]:
    """The file of `name` in `folder`, locked against the other processes of the machine; made if it is missing."""
    path = folder / sha256(name.encode()).hexdigest()[:24]
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path.touch(mode=0o600)
        yield path
