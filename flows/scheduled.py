"""What runs on a schedule: datasets that grow, checks of what is stored, judgement of what was learnt, a review."""

from datetime import UTC, datetime, timedelta

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact

from croma.errors import ContractError
from croma.extent import TimeWindow
from croma.recipes.recipe import Recipe
from croma.shards.dataset import open_dataset
from croma.shards.reader import verify
from croma.shards.ref import DatasetRef
from flows import logs, reports
from flows.policy import TRANSIENT
from flows.site import Site

logs.speak()


@flow(name="nightly-increment", validate_parameters=True)
def increment(recipe: Recipe, days: int = 30) -> DatasetRef:
    """Add to a recipe's dataset what the catalog has of the last `days`; radar and optical arrive days apart.

    A dataset that grows so takes its pairs by year (`pair.each: year` in the recipe).
    """
    # Loads GDAL, which the other flows here must not need.
    from flows.build_dataset import build_dataset

    spec = recipe.dataset
    today = datetime.now(UTC).date()
    recent = TimeWindow(start=max(spec.window.start, today - timedelta(days=days)), end=today)
    return build_dataset(spec.model_copy(update={"window": recent}))


@flow(name="check-dataset", validate_parameters=True)
def check_dataset(dataset: str) -> None:
    """Read every shard of a dataset's newest version and compare checksums; fails when one is wrong."""
    opened = open_dataset(DatasetRef.of(Site.load().dataset(dataset)))
    faults = find_faults(opened.ref)
    lines = [f"## {opened.ref}", f"{len(opened.shards())} shards read, {len(faults)} faults", *faults]
    create_markdown_artifact(key="check", description=str(opened.ref), markdown="\n\n".join(lines))
    if faults:
        raise ContractError("\n".join(faults))


@task(**TRANSIENT)
def find_faults(dataset: DatasetRef) -> list[str]:
    """One line for each shard or chip whose bytes are not those that were written."""
    return verify(open_dataset(dataset))


@flow(name="evaluate-new", validate_parameters=True)
def evaluate_new(recipe: Recipe, suite: str = "quick") -> int:
    """Judge what a recipe's runs have left: finished ones as the recipe says, copies of weights by a suite.

    Runs that go on leave copies where `resources.weights_every` asks for them. What is judged already is found. The
    number of weights that there are.
    """
    # Loads torch, which the other flows here must not need.
    from croma.training.left import list_copies, list_finished
    from flows.evaluate import score

    site = Site.load()
    dataset = open_dataset(DatasetRef.of(site.dataset(recipe.dataset.name))).ref
    quick = recipe.evaluate.with_suite(suite)
    wanted = [(weights, quick) for weights in list_copies(site.root, recipe.name)]
    wanted += [(weights, recipe.evaluate) for weights in list_finished(site.root, recipe.name)]
    for weights, spec in wanted:
        score(recipe.name, spec, weights, dataset, site)
    return len(wanted)


@flow(name="nightly-review", validate_parameters=True)
def review(recipe: Recipe, silent_hours: float = 6.0) -> list[str]:
    """The page of a recipe's experiment, kept in MLflow, and a table of its runs here.

    Runs that say RUNNING and have been silent are ended first; their ids.
    """
    # Loads MLflow, which a build does not have.
    from croma.tracking.records import read_runs, sweep_stale

    name, site = recipe.name, Site.load()
    if not read_runs(site.tracker, name):
        return []  # a night before the first run
    swept = sweep_stale(site.tracker, name, timedelta(hours=silent_hours))
    make_page(name, site)
    reports.publish_runs(name, site.tracker, len(swept))
    return swept


@task(task_run_name="review-{name}", **TRANSIENT)
def make_page(name: str, site: Site) -> str:
    """Make the page and keep it in MLflow; the id of its run."""
    # Loads MLflow, which a build does not have.
    from croma.evaluation.review import publish_review
    from croma.evaluation.review import review as make_review

    page = make_review(site.tracker, name, site.prices.worker_hour or None, site.prices.currency)
    return publish_review(site.tracker, name, page)
