"""A pretraining from beginning to end on Ray Train: found if it is finished, gone on with if it is not."""

import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")

import ray
from ray.train.v2.api.config import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.v2.api.exceptions import TrainingFailedError
from ray.train.v2.torch.torch_trainer import TorchTrainer

from croma import storage
from croma.document import digest
from croma.errors import InputError, TransientError
from croma.logs import about
from croma.provenance import code_version
from croma.shards.ref import DatasetRef
from croma.training.data import TrainingData, open_training_data
from croma.training.progress import follow
from croma.training.ray_worker import FINAL, Notes, Torch, train_worker
from croma.training.spec import Trained, TrainResult, TrainRun, TrainSpec

if TYPE_CHECKING:
    from croma.tracking.run import Run
    from croma.tracking.tracker import Tracker

log = logging.getLogger(__name__)

TAG = "croma.training"
"""Tag of the MLflow run that holds a pretraining: its id."""
VAIN_STARTS = 2
"""Starts of a worker group, a minute each, that a lost node may cost: Ray believes in its resources for a while."""
RECIPE = "croma.recipe"
"""Tag of the MLflow run over all seeds of a recipe: the fingerprint of what they have in common."""


def run_training(
    spec: TrainSpec,
    dataset: DatasetRef,
    root: str,
    *,
    name: str,
    tracker: "Tracker | None" = None,
    parent: str | None = None,
    ray_address: str | None = None,
) -> TrainResult:
    """Pretrain `spec` on a dataset version; blocks until it is done.

    The run is known by its content: called again it returns the result, or goes on from the newest checkpoint.

    Args:
        spec: the recipe.
        dataset: what to learn from.
        root: of storage; the run is kept in `runs/<id>` below it.
        name: of the experiment.
        tracker: where to log; None logs nothing.
        parent: id of the MLflow run below which this one is shown.
        ray_address: of a running Ray cluster; None starts one on this machine for the time of the job.

    Raises:
        InputError: the dataset does not exist or does not suit.
        ContractError: data or numbers are broken; chips are named.
        TransientError: workers kept failing, or storage did.
    """
    data = open_training_data(dataset, spec)
    run = TrainRun(
        id=spec.run_id(name, data.fingerprint),
        name=name,
        spec=spec,
        dataset=data.ref,
        root=storage.absolute(root),
        attempt=uuid.uuid4().hex[:8],
    )
    known = read_result(run)
    if known is not None:
        log.info("%s: trained already", run.id)
        _nest(tracker, known, parent)
        return known
    began = time.monotonic()
    with (
        about(run=run.id, dataset=str(data.ref)),
        _tracked(run, data, tracker, parent) as (run, tracked),
        _cluster(spec, ray_address),
    ):
        result = _finish(run, data, _fit(run))
        if tracked is not None:
            tracked.text("result.json", result.to_json().decode())
        log.info("%s: trained in %.0f s", run.id, time.monotonic() - began)
    return result


def read_result(run: TrainRun) -> TrainResult | None:
    """What a finished run has left; None where it is not finished."""
    address = run.address("result.json")
    if not storage.exists(address):
        return None
    return TrainResult.parse(json.loads(storage.read(address)), address)


def _finish(run: TrainRun, data: TrainingData, trained: Trained) -> TrainResult:
    """Leave the result of a run that took all its steps."""
    if trained.step < run.spec.steps:
        raise TransientError(
            f"{run.id}: stopped after step {trained.step} of {run.spec.steps}; start it again to go on"
        )
    result = TrainResult(
        run=run.id,
        weights=run.weights,
        dataset=data.ref,
        chips=len(data.chips),
        trained=trained,
        code=code_version(),
        tracking=run.tracking,
    )
    storage.write(run.address("result.json"), result.to_json())
    return result


def _fit(run: TrainRun) -> Trained:
    """Let Ray Train run the workers."""
    resources, notes = run.spec.resources, Notes(run)
    scratch = tempfile.mkdtemp(prefix="croma-ray-")
    wanted = {"CPU": resources.cpus} | ({"GPU": resources.gpus} if resources.gpus else {})
    trainer = _Trainer(
        train_worker,
        train_loop_config={"run": run.model_dump_json()},
        torch_config=Torch(backend="nccl" if resources.gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=resources.workers,
            use_gpu=resources.gpus > 0,
            resources_per_worker=wanted,
            elastic_resize_monitor_interval_s=resources.resize_seconds,
        ),
        run_config=RunConfig(
            name=f"{run.id}-{run.attempt}",
            storage_path=scratch,  # for Ray's own notes; checkpoints are ours, in the run's storage
            failure_config=FailureConfig(
                max_failures=resources.max_failures,
                controller_failure_limit=VAIN_STARTS * max(1, resources.max_failures),
            ),
            logging_config=LoggingConfig(log_level="WARNING"),
        ),
    )
    try:
        with follow(run.id, lambda: notes.get("line")), _stoppable(notes):
            found = trainer.fit()
    except TrainingFailedError as error:
        _raise_final(notes)
        raise TransientError(f"{run.id}: training failed: {_reason(error)}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _raise_final(notes)
    notes.clear()
    return Trained.model_validate_json(str(found.return_value))  # type: ignore[attr-defined]


class _Trainer(TorchTrainer):
    """Ray's own, which leaves Ctrl-C to us."""

    def _register_sigint_handler(self, controller: Any) -> None:
        """Ray would abort the workers; `_stoppable` lets them save first."""


@contextmanager
def _stoppable(notes: Notes) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask the workers to save and leave; the second one ends at once."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread hears signals
        yield
        return
    heard: list[int] = []

    def ask(number: int, _: Any) -> None:
        heard.append(number)
        signal.signal(number, before[number])
        log.warning("stopping: the workers save and leave; once more ends at once")
        threading.Thread(target=notes.put, args=("stop", "asked"), daemon=True).start()

    before: dict[int, Any] = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if signal.SIGTERM in heard:
        sys.exit(128 + signal.SIGTERM)
    if heard:
        raise KeyboardInterrupt


def _raise_final(notes: Notes) -> None:
    """Raise the error that a worker left as a note, in its own class."""
    found = notes.get("error")
    if found is not None:
        notes.clear()
        kind, message = json.loads(found)
        raise FINAL[kind](message)


def _reason(error: TrainingFailedError) -> str:
    """The last line of what the workers said, without the stacks around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _nest(tracker: "Tracker | None", result: TrainResult, parent: str | None) -> None:
    """Show a finished run below another one, where the tracker has both."""
    if tracker is None or parent is None or result.tracking is None:
        return
    from croma.tracking.records import nest

    try:
        nest(tracker, result.tracking, parent)
    except InputError as error:
        log.warning("%s: %s", result.run, error)


@contextmanager
def _tracked(
    run: TrainRun, data: TrainingData, tracker: "Tracker | None", parent: str | None
) -> Iterator[tuple[TrainRun, "Run | None"]]:
    """The MLflow run of this training, the same one however often it is restarted."""
    if tracker is None:
        yield run, None
        return
    # MLflow takes a second to import, and not everybody tracks.
    from croma.tracking.records import nest, read_runs
    from croma.tracking.run import open_run

    known = read_runs(tracker, run.name, {TAG: run.id})
    tags = {TAG: run.id, "croma.kind": "pretraining"}
    # Lists show a dozen letters, below the recipe: what tells runs apart comes first.
    title = f"seed{run.spec.seed}-{run.id.rpartition('-')[2][:6]}"
    above = parent or _recipe_run(run, tracker)
    with open_run(tracker, run.name, title, tags=tags, run_id=known[0].id if known else None) as tracked:
        nest(tracker, tracked.id, above)
        tracked.params({**run.spec.model_dump(mode="json"), "dataset": str(data.ref)})
        name = data.ref.uri.rstrip("/").rpartition("/")[2]
        tracked.dataset(name, data.ref.uri, data.ref.version or 0, "training", {"chips": len(data.chips)})
        tracked.text("train.json", run.spec.to_json().decode())
        yield run.model_copy(update={"tracker": tracker.uri, "tracking": tracked.id}), tracked


def _recipe_run(run: TrainRun, tracker: "Tracker") -> str:
    """The id of the MLflow run under which all seeds of a recipe are nested; it holds what they have in common."""
    from croma.tracking.records import read_runs
    from croma.tracking.run import open_run

    recipe = run.spec.model_dump(mode="json", exclude={"seed", "resources"})
    tags = {RECIPE: digest(recipe), "croma.kind": "recipe"}
    known = read_runs(tracker, run.name, tags)
    if known:
        return known[0].id
    with open_run(tracker, run.name, f"{run.spec.objective.kind}-{tags[RECIPE][:6]}", tags=tags) as parent:
        parent.params(recipe)
    return parent.id


@contextmanager
def _cluster(spec: TrainSpec, address: str | None) -> Iterator[None]:
    """A Ray cluster to train on: the one we are in, the one at `address`, or one of our own on this machine."""
    if ray.is_initialized():
        yield
        return
    try:
        if address is None:
            resources = spec.resources
            ray.init(
                num_cpus=max(os.cpu_count() or 1, round(resources.most_workers * resources.cpus)),
                include_dashboard=True,  # Ray Train asks it for the state of its actors
                dashboard_host="127.0.0.1",
                log_to_driver=True,
                configure_logging=False,
            )
        else:
            ray.init(address, configure_logging=False)
    except Exception as error:  # Ray raises plain Exception where its processes are slow to start
        raise TransientError(f"Ray cluster {address or 'on this machine'}: cannot be reached ({error})") from error
    try:
        yield
    finally:
        ray.shutdown()
