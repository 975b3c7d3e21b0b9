"""The flow that pretrains: one Ray Train job on a dataset version. A run that is finished is found, not repeated."""

from prefect import flow, task

from croma.shards.ref import DatasetRef
from croma.training.spec import TrainResult, TrainSpec
from flows import reports
from flows.policy import TRANSIENT
from flows.site import Site


@flow(name="pretrain", validate_parameters=True)
def pretrain(name: str, spec: TrainSpec, dataset: DatasetRef, site: Site | None = None) -> TrainResult:
    """Pretrain what `spec` describes on `dataset`, in the MLflow experiment `name`."""
    site = site or Site.load()
    result = run_training(name, spec, dataset, site)
    reports.publish_training(result)
    return result


@task(task_run_name="train-{name}", **TRANSIENT)
def run_training(name: str, spec: TrainSpec, dataset: DatasetRef, site: Site) -> TrainResult:
    """Train on Ray and wait; killed and called again, it goes on from the newest checkpoint."""
    # Loads torch, which a flow that only submits or schedules must not need.
    from croma.training import ray_job

    return ray_job.run_training(spec, dataset, site.root, name=name, tracker=site.tracker, ray_address=site.ray or None)
