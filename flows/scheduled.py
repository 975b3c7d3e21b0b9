"""What runs on a schedule: datasets that grow, checks of what is stored, judgement of what was learnt, a review."""

from datetime import UTC, datetime, timedelta

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from croma import storage
from croma.errors import ContractError
from croma.extent import TimeWindow
from croma.recipes.recipe import Recipe
from croma.shards.dataset import open_dataset
from croma.shards.reader import verify
from croma.shards.ref import DatasetRef
from flows.policy import TRANSIENT
from flows.site import Site


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
def evaluate_new(recipe: Recipe) -> int:
    """Judge every finished run of a recipe; what is judged already is found. How many there are."""
    # Loads torch, which the other flows here must not need.
    from croma.training.spec import TrainResult
    from flows.evaluate import score

    site = Site.load()
    runs = storage.join(site.root, "runs")
    dataset = open_dataset(DatasetRef.of(site.dataset(recipe.dataset.name))).ref
    finished = [
        address
        for run in storage.list_names(runs)
        if run.startswith(f"{recipe.name}-") and storage.exists(address := storage.join(runs, run, "result.json"))
    ]
    for address in finished:
        result = TrainResult.model_validate_json(storage.read(address))
        score(recipe.name, recipe.evaluate, result.weights, dataset, site)
    return len(finished)


@flow(name="nightly-review", validate_parameters=True)
def review(recipe: Recipe, silent_hours: float = 6.0) -> list[str]:
    """Table of a recipe's runs; ends those that say RUNNING and have been silent. Ids of the ended ones."""
    # Loads MLflow, which a build does not have.
    from croma.tracking import read_runs, sweep_stale

    name, tracker = recipe.name, Site.load().tracker
    swept = sweep_stale(tracker, name, timedelta(hours=silent_hours))
    table = [
        {"run": run.name, "status": run.status, **{key: round(value, 4) for key, value in sorted(run.metrics.items())}}
        for run in read_runs(tracker, name)
    ]
    create_table_artifact(key=f"review-{name}", description=f"Runs of {name}; {len(swept)} ended", table=table)
    return swept
