"""The main job across two images: each part is a run of its own deployment, in the pool that has what it needs."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from croma.errors import TransientError
from croma.recipes.recipe import Recipe
from croma.shards.dataset import open_dataset
from croma.shards.ref import DatasetRef
from croma.training.spec import TrainResult
from flows.pretrain import training_request
from flows.site import Site


@flow(name="whole-way", validate_parameters=True)
def whole_way(recipe: Recipe) -> TrainResult:
    """From a STAC search to a registered model, through the deployments of building, pretraining and evaluation."""
    site = Site.load()
    _run("build-dataset/on-demand", {"spec": recipe.dataset})
    dataset = open_dataset(DatasetRef.of(site.dataset(recipe.dataset.name))).ref
    _run("pretrain/on-demand", {"name": recipe.name, "spec": recipe.pretrain, "dataset": dataset})
    result = training_request(recipe.name, recipe.pretrain, dataset, site).answer()
    judged = {"name": recipe.name, "spec": recipe.evaluate, "weights": result.weights, "dataset": dataset}
    _run("evaluate/on-demand", judged)
    return result


def _run(deployment: str, parameters: dict[str, Any]) -> None:
    """Run a deployment to its end.

    Raises:
        TransientError: it did not end well; its own run says why.
    """
    plain = {
        key: value if isinstance(value, str) else value.model_dump(mode="json") for key, value in parameters.items()
    }
    run = run_deployment(deployment, parameters=plain, poll_interval=2)
    if isinstance(run, FlowRun) and (run.state is None or not run.state.is_completed()):
        name = run.state.name if run.state else "unknown"
        raise TransientError(f"{deployment}: run {run.name} ended as {name}; see its log")
