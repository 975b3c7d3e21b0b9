"""The flow that tries learning rates: pretrainings one after the other, nested below one run in MLflow."""

from prefect import flow

from croma.shards.dataset import open_dataset
from croma.shards.ref import DatasetRef
from croma.training import sweep as sweeping
from croma.training.spec import TrainResult, TrainSpec
from croma.training.sweep import Rates, SweepResult
from flows.pretrain import run_training, stop_training
from flows.site import Site


@flow(name="sweep", validate_parameters=True, on_cancellation=[stop_training])
def sweep(name: str, spec: TrainSpec, rates: Rates, dataset: DatasetRef, site: Site | None = None) -> SweepResult:
    """Pretrain `spec` with each peak of the learning rate, in the MLflow experiment `name`."""
    site = site or Site.load()
    ref = open_dataset(dataset).ref

    def train(trial: TrainSpec, parent: str | None) -> TrainResult:
        return run_training(name, trial, ref, site, parent)

    return sweeping.sweep(name, spec, rates, ref, train, site.tracker)
