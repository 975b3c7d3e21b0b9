"""The main job as one flow: build, pretrain, evaluate."""

from dataclasses import dataclass

from prefect import flow

from croma.evaluation.scores import Scorecard
from croma.recipes.recipe import Recipe
from croma.shards.ref import DatasetRef
from croma.training.spec import TrainResult
from flows.build_dataset import build_dataset
from flows.evaluate import evaluate
from flows.pretrain import pretrain
from flows.site import Site


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the whole way has led to."""

    dataset: DatasetRef
    training: TrainResult
    scorecard: Scorecard


@flow(name="end-to-end", validate_parameters=True)
def end_to_end(recipe: Recipe, site: Site | None = None) -> Outcome:
    """From a STAC search to a registered model. Each part finds what it has already done."""
    site = site or Site.load()
    dataset = build_dataset(recipe.dataset, site)
    training = pretrain(recipe.name, recipe.pretrain, dataset, site)
    scorecard = evaluate(recipe.name, recipe.evaluate, training.weights, dataset, site)
    return Outcome(dataset=dataset, training=training, scorecard=scorecard)
