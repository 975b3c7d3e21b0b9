"""A pretraining as a job of a Ray cluster: a request lies in storage, the job answers it beside.

The one who asks needs no torch. Run on the cluster as `python -m croma.training.job ADDRESS-OF-REQUEST`.
"""

import json
import sys
from collections.abc import Callable

from croma import cluster, logs, storage
from croma.document import Document
from croma.errors import CromaError, InputError
from croma.shards.ref import DatasetRef
from croma.training.spec import TrainResult, TrainSpec


class TrainRequest(Document):
    """What a job is asked for."""

    name: str
    """Of the experiment."""
    spec: TrainSpec
    dataset: DatasetRef
    """With its version."""
    root: str
    """Of storage."""
    tracking: str | None = None
    """Address of the MLflow server; None logs nothing."""
    artifacts: str | None = None
    """Where new experiments keep files; None leaves it to the server."""
    parent: str | None = None
    """Id of the MLflow run below which this one is shown."""

    @property
    def id(self) -> str:
        """Equal for equal requests."""
        return f"{self.name}-{self.fingerprint}"

    @property
    def address(self) -> str:
        """Where the request lies."""
        return storage.join(self.root, "runs", "requests", f"{self.id}.json")

    @property
    def answer_address(self) -> str:
        """Where its result lies once it is there."""
        return storage.join(self.root, "runs", "requests", f"{self.id}.result.json")

    def answer(self) -> TrainResult:
        """The result.

        Raises:
            FileNotFoundError: nobody has trained this yet.
        """
        return TrainResult.parse(json.loads(storage.read(self.answer_address)), self.answer_address)


def train_on_cluster(
    request: TrainRequest,
    ray_address: str,
    notes: dict[str, str] | None = None,
    tell: Callable[[str], None] | None = None,
) -> TrainResult:
    """Let the cluster at `ray_address` (http://host:8265) train; wait for the result. `tell` is given its log's lines.

    Raises:
        InputError: storage is a folder of this machine, the request has no version, or the data do not suit.
        ContractError: data or numbers are broken.
        TransientError: the cluster does not answer, workers kept failing, or storage did.
    """
    if storage.local_path(request.root) is not None and not _on_this_machine(ray_address):
        raise InputError(f"storage {request.root}: a cluster cannot reach it; set CROMA_STORAGE to s3://bucket/prefix")
    if request.dataset.version is None:
        raise InputError(f"dataset {request.dataset}: a job needs a version; name one as {request.dataset}@1")
    storage.write(request.address, request.to_json())
    cluster.run_job(ray_address, request.id, ["python", "-m", "croma.training.job", request.address], notes, tell)
    return request.answer()


def train(request: TrainRequest, ray_address: str | None) -> TrainResult:
    """Train in this process's Ray cluster, or in one of its own; the result is left as the request's answer.

    Args:
        request: what is asked for.
        ray_address: as in `run_training`.
    """
    # Ray Train and torch are where the training is; who only asks imports this file without them.
    from croma.training.ray_job import run_training

    tracker = None
    if request.tracking:
        from croma.tracking.tracker import Tracker

        tracker = Tracker(uri=request.tracking, artifacts=request.artifacts)
    result = run_training(
        request.spec,
        request.dataset,
        request.root,
        name=request.name,
        tracker=tracker,
        parent=request.parent,
        ray_address=ray_address,
    )
    storage.write(request.answer_address, result.to_json())
    return result


def _on_this_machine(address: str) -> bool:
    return any(host in address for host in ("//127.0.0.1", "//localhost"))


if __name__ == "__main__":
    logs.configure("croma")
    try:
        train(TrainRequest.parse(json.loads(storage.read(sys.argv[1])), sys.argv[1]), ray_address="auto")
    except CromaError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(next((code for kind, code in cluster.EXIT_CODES.items() if isinstance(error, kind)), 1))
