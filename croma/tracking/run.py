"""A run that is being written: parameters, metrics, datasets, pictures, models.

Metrics are buffered and sent in batches together with a heartbeat, so that a run whose process died can be told from
one that is busy.
"""

import json
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from croma.errors import CromaError, InputError, TransientError
from croma.provenance import code_version
from croma.tracking.tracker import Tracker, default_uri, door

# isort: split
# After the tracker, which sets what MLflow reads when it is imported.
import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelStatus, Metric, Param, RunTag
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.types import Schema, TensorSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

Status = Literal["FINISHED", "FAILED", "KILLED"]
HEARTBEAT = "croma.heartbeat"
"""Tag with the time (Unix seconds) at which a run last sent something."""
PARENT = "mlflow.parentRunId"
"""Tag by which MLflow shows a run below another."""
DESCRIPTION = "mlflow.note.content"
"""Tag with Markdown that MLflow shows above a run's metrics."""
_TABLES = "mlflow.loggedArtifacts"
_SEND_POINTS, _SEND_SECONDS, _KEEP_POINTS = 500, 5.0, 200_000


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level, with keys joined by dots; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


@dataclass(kw_only=True, slots=True)
class Run:
    """A run that is being written. Made by `open_run`."""

    client: MlflowClient
    id: str
    experiment_id: str
    resumed: bool
    url: str | None
    """Where a browser shows it; None without a server."""
    _points: list[Metric] = field(default_factory=list)
    _logged: dict[str, int] = field(default_factory=dict)
    _sent: float = field(default_factory=time.monotonic)

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters once; nested ones get keys joined by dots.

        On a resumed run, a value that changed becomes the tag `resumed.<name>`.
        """
        given = {key: str(value)[:6000] for key, value in _flatten(values).items()}
        with door("logging parameters"):
            known = self.client.get_run(self.id).data.params
            fresh = [Param(key, value) for key, value in given.items() if key not in known]
            changed = [
                RunTag(f"resumed.{key}", value) for key, value in given.items() if known.get(key, value) != value
            ]
            for start in range(0, max(len(fresh), len(changed)), 100):
                self.client.log_batch(self.id, params=fresh[start : start + 100], tags=changed[start : start + 100])

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags, over what they were."""
        with door("setting tags"):
            self.client.log_batch(self.id, tags=[RunTag(key, value) for key, value in values.items()])

    def metrics(self, values: Mapping[str, float], step: int, model_id: str | None = None) -> None:
        """Log one point of each metric; keys carry a prefix: `train/loss`, `eval/knn/joint/top1`.

        On a resumed run, points of steps that it already holds are left out: the replay after a crash gives the same
        values (law of exact resume), and they must not stand twice. Sent in batches; `flush` sends what is waiting.
        """
        now = int(time.time() * 1000)
        for key, value in values.items():
            if not self.resumed or step > self._last_step(key):
                self._points.append(Metric(key, float(value), now, step, model_id=model_id))
        if len(self._points) >= _SEND_POINTS or time.monotonic() - self._sent > _SEND_SECONDS:
            try:
                self.flush()
            except TransientError as error:
                log.warning("%s; %d points are kept and sent later", error, len(self._points))
                if len(self._points) > _KEEP_POINTS:
                    raise

    def _last_step(self, key: str) -> int:
        if key not in self._logged:
            with door(f"reading the history of {key}"):
                history = self.client.get_metric_history(self.id, key)
            self._logged[key] = max((point.step for point in history), default=-1)
        return self._logged[key]

    def flush(self) -> None:
        """Send every waiting point; called at each checkpoint. What fails stays waiting.

        Raises:
            TransientError: the server or the file did not take them.
        """
        self._sent = time.monotonic()
        heartbeat = [RunTag(HEARTBEAT, f"{time.time():.0f}")]
        while self._points:
            with door("sending metrics"):
                self.client.log_batch(self.id, metrics=self._points[:1000], tags=heartbeat, synchronous=True)
            del self._points[:1000]

    def dataset(self, name: str, uri: str, version: int, context: str, facts: Mapping[str, Any]) -> None:
        """Link a dataset version as an input, in MLflow's form for a Delta table; the version is its digest."""
        source = json.dumps({"path": uri, "delta_table_version": version})
        entity = Dataset(name, f"v{version}", "delta_table", source, profile=json.dumps(dict(facts)))
        with door("linking the dataset"):
            self.client.log_inputs(self.id, [DatasetInput(entity, [InputTag("mlflow.data.context", context)])])

    def figure(self, path: str, figure: "Figure") -> None:
        """Store a picture as the artifact `path` (ending in .png)."""
        with door(f"storing {path}"):
            self.client.log_figure(self.id, figure, path, save_kwargs={"dpi": 110, "bbox_inches": "tight"})

    def table(self, path: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Store a table that MLflow shows as one, as the artifact `path` (ending in .json); replaces an older one."""
        content = {"columns": list(columns), "data": [list(row) for row in zip(*columns.values(), strict=True)]}
        with door(f"storing {path}"):
            self.client.log_text(self.id, json.dumps(content, default=str), path)
            listed = json.loads(self.client.get_run(self.id).data.tags.get(_TABLES, "[]"))
            entry = {"path": path, "type": "table"}
            if entry not in listed:
                self.client.set_tag(self.id, _TABLES, json.dumps([*listed, entry]))

    def text(self, path: str, text: str) -> None:
        """Store a text (a recipe, a card, a page) as the artifact `path`."""
        with door(f"storing {path}"):
            self.client.log_text(self.id, text, path)

    def file(self, local: Path, folder: str | None = None) -> None:
        """Store a file as an artifact in `folder`."""
        with door(f"storing {local.name}"):
            self.client.log_artifact(self.id, str(local), folder)

    def model(
        self,
        name: str,
        *,
        loader: str,
        data: Path,
        code: Sequence[Path],
        example: Mapping[str, np.ndarray[Any, Any]],
        answer: Mapping[str, np.ndarray[Any, Any]],
        requirements: Sequence[str],
        metadata: Mapping[str, Any],
        step: int,
    ) -> str:
        """Log a pyfunc model and return its id; when this run already holds one of this name, that one.

        Args:
            name: Of the logged model.
            loader: Module with `_load_pyfunc(path)`; it and what it imports are in `code`.
            data: Folder that the loader is given.
            code: Folders or files that travel with the model and stand on its import path.
            example: A small input; with `answer` it gives the signature, whose first axis is the batch. All axes of
                images (rank 4) are free: the model refuses wrong ones in words, MLflow would print all pixels.
            answer: What the model answers to `example`.
            requirements: Pip requirements, complete.
            metadata: Licence, dataset, normalisation: what a reader of the file needs.
            step: The training step of the weights.
        """
        ours = f"source_run_id = '{self.id}' and name = '{name}'"
        with door(f"logging the model {name}"), default_uri(self.client.tracking_uri):
            found = self.client.search_logged_models([self.experiment_id], filter_string=ours)
            if ready := [model.model_id for model in found if model.status == LoggedModelStatus.READY]:
                return str(ready[0])
            # MLflow would put the model into the process's experiment: make it in ours, then fill it.
            made = self.client.create_logged_model(self.experiment_id, name, source_run_id=self.id, model_type="pyfunc")
            Model.log(
                artifact_path=None,
                model_id=made.model_id,
                flavor=mlflow.pyfunc,
                run_id=self.id,
                step=step,
                loader_module=loader,
                data_path=str(data),
                code_paths=[str(path) for path in code],
                signature=ModelSignature(inputs=_schema(example), outputs=_schema(answer)),
                input_example=dict(example),
                pip_requirements=list(requirements),
                metadata=dict(metadata),
            )
        return str(made.model_id)


def _schema(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Schema:
    def shape(array: np.ndarray[Any, Any]) -> tuple[int, ...]:
        return (-1,) * 4 if array.ndim == 4 else (-1, *array.shape[1:])

    return Schema([TensorSpec(array.dtype, shape(array), name) for name, array in arrays.items()])


@contextmanager
def open_run(
    tracker: Tracker,
    experiment: str,
    name: str,
    *,
    tags: Mapping[str, str] | None = None,
    parent: str | None = None,
    run_id: str | None = None,
    system_metrics: bool = False,
) -> Iterator[Run]:
    """A run to write to. Ends FINISHED, FAILED when an exception passes, KILLED on a keyboard interrupt.

    Args:
        tracker: Where runs are kept.
        experiment: Its name; made when it does not exist.
        name: Of the run, as lists show it.
        tags: By which the run is found again and told apart.
        parent: Id of the run under which this one is nested.
        run_id: Resume this run instead of making one.
        system_metrics: Log CPU, memory, disk, network and GPU every ten seconds under `system/`.
    """
    client = tracker.client
    with door(f"opening the run {name}"):
        record = client.get_run(run_id) if run_id else _create_run(tracker, experiment, name, tags or {}, parent)
        if run_id:
            client.update_run(run_id, status="RUNNING")
    experiment_id = str(record.info.experiment_id)
    run = Run(
        client=client,
        id=record.info.run_id,
        experiment_id=experiment_id,
        resumed=run_id is not None,
        url=_url(tracker, experiment_id, record.info.run_id),
    )
    monitor: Any = None
    if system_metrics:
        monitor = SystemMetricsMonitor(run.id, resume_logging=run.resumed, tracking_uri=tracker.uri)  # type: ignore[no-untyped-call]
        monitor.start()
    status: Status = "FAILED"
    try:
        yield run
        run.flush()
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        if monitor:
            monitor.finish()
        _close(run, status)


def _create_run(tracker: Tracker, experiment: str, name: str, tags: Mapping[str, str], parent: str | None) -> MlflowRun:
    system = {"mlflow.source.name": "croma", "mlflow.source.git.commit": code_version()}
    if parent:
        system[PARENT] = parent
    return tracker.client.create_run(_experiment_id(tracker, experiment), run_name=name, tags=system | dict(tags))


def _experiment_id(tracker: Tracker, name: str) -> str:
    found = tracker.client.get_experiment_by_name(name)
    if found is None:
        place = f"{tracker.artifacts}/{name}" if tracker.artifacts else None
        try:
            return tracker.client.create_experiment(name, artifact_location=place)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return _experiment_id(tracker, name)
    if found.lifecycle_stage == "deleted":
        raise InputError(f"MLflow: the experiment {name} was deleted: restore it, or use another name")
    return str(found.experiment_id)


def _close(run: Run, status: Status) -> None:
    """End the run; when an exception is already on its way, a failure here is only logged."""
    try:
        if status != "FINISHED":
            run.flush()
        with door("ending the run"):
            run.client.set_terminated(run.id, status)
    except CromaError as error:
        if status == "FINISHED":
            raise
        log.warning("%s", error)


def _url(tracker: Tracker, experiment_id: str, run_id: str) -> str | None:
    if not tracker.uri.startswith("http"):
        return None
    return re.sub(r"//[^/@]+@", "//", f"{tracker.uri.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}")
