"""Where runs are kept, and the door to it: its errors become ours. This package alone imports mlflow.

Everything goes through a client bound to one address; there is no global active run.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from croma.errors import InputError, TransientError

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# MLflow's defaults wait for minutes on a server that is away; here points are kept and sent later instead.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

_REFUSALS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "UNAUTHENTICATED", "NOT_FOUND")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracker:
    """Where runs are kept."""

    uri: str
    """`sqlite:////absolute/file.db`, or the http(s) address of an MLflow server."""
    artifacts: str | None = None
    """Folder or bucket in which new experiments keep their files; None leaves it to the server."""

    @property
    def client(self) -> MlflowClient:
        """A client of this address alone."""
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)


def local_tracker(folder: Path) -> Tracker:
    """A tracker without a server: a SQLite file and a folder of artifacts below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return Tracker(uri=f"sqlite:///{folder.resolve()}/mlflow.db", artifacts=(folder.resolve() / "artifacts").as_uri())


@contextmanager
def door(what: str) -> Iterator[None]:
    """Turns MLflow's exceptions into ours, without user names and passwords that an address may hold."""
    try:
        yield
    except MlflowException as error:
        message = re.sub(r"//[^/@\s]+@", "//***@", f"MLflow: {what} failed: {error.message}")
        kind = InputError if error.error_code in _REFUSALS else TransientError
        raise kind(message) from None


@contextmanager
def default_uri(uri: str) -> Iterator[None]:
    """Some calls ignore the client and take the process's address: lend them ours for the moment."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def fetch_model(tracker: Tracker, address: str, folder: Path) -> Path:
    """Copy a logged or registered model (`models:/name@alias`) into `folder`; the folder that holds it."""
    with door(f"fetching {address}"), default_uri(tracker.uri):
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(folder)))
