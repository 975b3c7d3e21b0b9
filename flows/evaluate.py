"""The flow that judges weights: probes beside baselines, pictures, and the registry when the verdict is good."""

from prefect import flow, task

from croma.evaluation.scores import Scorecard
from croma.evaluation.spec import EvalSpec
from croma.shards.ref import DatasetRef
from flows import logs, reports
from flows.policy import TRANSIENT
from flows.site import Site

logs.speak()


@flow(name="evaluate", validate_parameters=True)
def evaluate(name: str, spec: EvalSpec, weights: str, dataset: DatasetRef, site: Site | None = None) -> Scorecard:
    """Judge the weights at an address on a labelled dataset, in the MLflow experiment `name`."""
    site = site or Site.load()
    scorecard = score(name, spec, weights, dataset, site)
    reports.publish_scores(name, scorecard)
    return scorecard


@task(task_run_name="evaluate-{name}", **TRANSIENT)
def score(
    name: str, spec: EvalSpec, weights: str, dataset: DatasetRef, site: Site, rival: str | None = None
) -> Scorecard:
    """Embed, probe, draw, judge, register; beside a `rival`, weights to compare with, nothing is registered."""
    # Loads torch, which a flow that only submits or schedules must not need.
    from croma.evaluation import suite

    return suite.evaluate(spec, weights, dataset, site.root, name=name, tracker=site.tracker, rival=rival)
