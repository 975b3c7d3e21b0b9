"""The flow that pretrains: one Ray Train job on a dataset version. A run that is finished is found, not repeated."""

from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger, runtime, task

from croma.shards.dataset import open_dataset
from croma.shards.ref import DatasetRef
from croma.training.spec import TrainResult, TrainSpec
from flows import logs, reports
from flows.policy import TRANSIENT
from flows.site import Site

logs.speak()

if TYPE_CHECKING:
    from croma.training.job import TrainRequest


def stop_training(flow: Any, flow_run: Any, state: Any) -> None:  # noqa: ARG001 (the names that Prefect gives)
    """Stop the Ray job of a flow run that was cancelled; one that crashed leaves its job to the next try."""
    site = Site.load()
    if site.ray.startswith("http"):
        from croma import cluster

        cluster.stop_jobs(site.ray, {"flow_run": str(flow_run.id)})


@flow(name="pretrain", validate_parameters=True, on_cancellation=[stop_training])
def pretrain(name: str, spec: TrainSpec, dataset: DatasetRef, site: Site | None = None) -> TrainResult:
    """Pretrain what `spec` describes on `dataset`, in the MLflow experiment `name`."""
    site = site or Site.load()
    result = run_training(name, spec, dataset, site)
    reports.publish_training(result)
    return result


@task(task_run_name="train-{name}", **TRANSIENT)
def run_training(name: str, spec: TrainSpec, dataset: DatasetRef, site: Site, parent: str | None = None) -> TrainResult:
    """Train on Ray and wait; killed and called again, it goes on from the newest checkpoint.

    `parent` is the MLflow run below which it is shown.
    """
    # Loads Ray, which a flow that only builds does not have; torch is loaded where the training is.
    from croma.training import job

    request = training_request(name, spec, dataset, site, parent)
    if site.ray.startswith("http"):
        notes = {"flow_run": str(runtime.flow_run.id)}
        return job.train_on_cluster(request, site.ray, notes, get_run_logger().info)
    return job.train(request, site.ray or None)


def training_request(
    name: str, spec: TrainSpec, dataset: DatasetRef, site: Site, parent: str | None = None
) -> "TrainRequest":
    """What is asked of the one who trains; names the version when `dataset` means the newest."""
    from croma.training.job import TrainRequest

    tracker = site.tracker
    return TrainRequest(
        name=name,
        spec=spec,
        dataset=open_dataset(dataset).ref,
        root=site.root,
        tracking=tracker.uri,
        artifacts=tracker.artifacts,
        parent=parent,
    )
