"""The door to storage: a local folder or an object store behind one set of verbs. Addresses are strings.

`s3://bucket/key` goes to s3fs, everything else is a local path (`file://` or plain); parts of files are read in
`croma.ranges`. Endpoint and credentials come from the environment in the words every S3 client knows
(AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …), so none is ever in an address.
"""

import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from croma.errors import InputError, TransientError

_TAKEN = {"PreconditionFailed", "412", "ConditionalRequestConflict"}


def join(address: str, *parts: str) -> str:
    """`address` with `parts` below it."""
    return "/".join([address.rstrip("/"), *(part.strip("/") for part in parts)])


def local_path(address: str) -> Path | None:
    """The path of a local address; None for a remote one."""
    protocol, _, rest = address.partition("://")
    if not rest:
        return Path(address)
    return Path(rest) if protocol == "file" else None


def absolute(address: str) -> str:
    """A local address made absolute, so that it means the same to every process; a remote one as it is."""
    path = local_path(address)
    return str(path.resolve()) if path is not None else address.rstrip("/")


def exists(address: str) -> bool:
    """Whether a file, or a folder with something in it, is there."""
    fs, path = _filesystem(address)
    with translated(address):
        return bool(fs.exists(path))


def size(address: str) -> int:
    """Bytes of a file.

    Raises:
        FileNotFoundError: nothing is there.
    """
    fs, path = _filesystem(address)
    with translated(address):
        return int(fs.size(path))


def read(address: str) -> bytes:
    """All bytes of a file.

    Raises:
        FileNotFoundError: nothing is there.
    """
    fs, path = _filesystem(address)
    with translated(address):
        return bytes(fs.cat_file(path))


def write(address: str, data: bytes) -> None:
    """Put `data` there in one go: a reader sees the old bytes or the new ones, never a part."""
    local = local_path(address)
    if local is not None:
        with _replacing(local) as temporary:
            temporary.write_bytes(data)
        return
    fs, path = _filesystem(address)
    with translated(address):
        fs.pipe_file(path, data)


def create(address: str, data: bytes) -> bool:
    """Put `data` there unless something is: of many callers at once exactly one gets True.

    On S3 this is a conditional PUT (If-None-Match), so `data` must be small enough for one request (a few MB).
    """
    local = local_path(address)
    if local is not None:
        return _create_locally(local, data)
    fs, path = _filesystem(address)
    with translated(address):
        try:
            fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        except OSError as error:
            # Some servers refuse without naming the condition, and s3fs then does not recognise the refusal.
            response = getattr(error.__cause__, "response", {})
            if response.get("Error", {}).get("Code") not in _TAKEN:
                raise
            return False
    return True


def upload(local: Path, address: str) -> None:
    """Copy a local file there; visible only when whole."""
    target = local_path(address)
    if target is not None:
        with _replacing(target) as temporary:
            shutil.copyfile(local, temporary)
        return
    fs, path = _filesystem(address)
    with translated(address):
        fs.put_file(str(local), path)


def download(address: str, local: Path) -> None:
    """Copy a file from there; `local` appears only when whole.

    Raises:
        FileNotFoundError: nothing is there.
    """
    fs, path = _filesystem(address)
    with _replacing(local) as temporary, translated(address):
        fs.get_file(path, str(temporary))


def list_names(address: str) -> list[str]:
    """Names of the files and folders directly below, sorted; empty where there is nothing."""
    fs, path = _filesystem(address)
    with translated(address):
        try:
            entries = fs.ls(path, detail=False, refresh=True) if _remote(address) else fs.ls(path, detail=False)
        except FileNotFoundError:
            return []
    return sorted(name for entry in entries if (name := str(entry).rstrip("/").rpartition("/")[2]))


class Entry(NamedTuple):
    """A file in storage."""

    address: str
    size: int
    """Bytes."""
    modified: float
    """Unix seconds."""


def walk(address: str) -> list[Entry]:
    """All files below, sorted by address; empty where there is nothing."""
    local = local_path(address)
    if local is not None:
        return sorted(entry for path in local.rglob("*") if (entry := _entry(path)))
    fs, path = _filesystem(address)
    with translated(address):
        found = fs.find(path, detail=True)
    root = path.rstrip("/")
    return sorted(
        Entry(join(address, name.removeprefix(root)), int(info["size"]), info["LastModified"].timestamp())
        for name, info in found.items()
    )


def modified(address: str) -> float:
    """When a file was last written, in Unix seconds.

    Raises:
        FileNotFoundError: nothing is there.
    """
    fs, path = _filesystem(address)
    with translated(address):
        return float(fs.modified(path).timestamp())


def remove(address: str, recursive: bool = False) -> None:
    """Delete a file, or with `recursive` everything below; nothing happens where there is nothing."""
    fs, path = _filesystem(address)
    with translated(address):
        if fs.exists(path):
            fs.rm(path, recursive=recursive)


def prune(address: str) -> None:
    """Remove empty folders below a local address; an object store has none."""
    local = local_path(address)
    for folder in sorted(local.rglob("*"), reverse=True) if local is not None else ():
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def delta_options(address: str) -> dict[str, str]:
    """What `deltalake` must be told to reach `address`: nothing for local paths, the S3 environment otherwise."""
    if not _remote(address):
        return {}
    names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION")
    options = {name: os.environ[name] for name in names if name in os.environ}
    if "AWS_REGION" not in options:
        options["AWS_REGION"] = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    if options.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        options["AWS_ALLOW_HTTP"] = "true"
    return options | {"aws_conditional_put": "etag"}


def check_reachable(address: str) -> None:
    """Write, read and remove a small file.

    Raises:
        InputError: the place refuses, with what to do about it.
    """
    probe = join(address, f".probe-{uuid.uuid4().hex}")
    try:
        write(probe, b"croma")
        remove(probe)
    except (OSError, TransientError) as error:
        raise InputError(
            f"storage {address}: cannot be written to ({error}); check the address and the rights"
        ) from None


def _entry(path: Path) -> Entry | None:
    """A local file; nothing for a folder, and for what another process has just removed."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return Entry(str(path), found.st_size, found.st_mtime) if stat.S_ISREG(found.st_mode) else None


def _remote(address: str) -> bool:
    return local_path(address) is None


def _filesystem(address: str) -> tuple[Any, str]:
    """The file system and the path inside it. fsspec caches instances by what they are called with, per thread."""
    local = local_path(address)
    if local is not None:
        return fsspec.filesystem("file"), str(local)
    place(address)
    # Named though s3fs would find it: an instance made for another server must not answer for this one.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    fs = fsspec.filesystem("s3", use_listings_cache=False, endpoint_url=endpoint)
    return fs, str(fs._strip_protocol(address))


def place(address: str) -> tuple[str, str]:
    """Bucket and key of a remote address."""
    protocol, _, path = address.partition("://")
    if protocol not in ("s3", "s3a"):
        raise InputError(f"storage {address}: {protocol}:// is not supported; use a local path or s3://bucket/prefix")
    bucket, _, key = path.partition("/")
    return bucket, key


def denied(address: str, error: Exception) -> InputError:
    """Access is denied, as our error."""
    return InputError(f"storage {address}: access denied ({error}); check the credentials and their rights")


@contextmanager
def translated(address: str) -> Iterator[None]:
    """Vendor exceptions as ours; FileNotFoundError as it is."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise InputError(
            f"storage {address}: no credentials ({error}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "or run where a role grants them"
        ) from None
    except PermissionError as error:
        raise denied(address, error) from None
    except FileNotFoundError:
        raise
    except (ClientError, BotoCoreError) as error:
        raise TransientError(f"storage {address}: {error}") from error
    except OSError as error:
        if _remote(address):
            raise TransientError(f"storage {address}: {error}") from error
        raise


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _create_locally(path: Path, data: bytes) -> bool:
    """Write beside, then link: the link fails where the name is taken, and the bytes are whole when it appears."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.write_bytes(data)
        return _succeeds(lambda: os.link(temporary, path))
    finally:
        temporary.unlink(missing_ok=True)


def _succeeds(link: Callable[[], None]) -> bool:
    try:
        link()
    except FileExistsError:
        return False
    return True
