"""The commands. Each takes a recipe, finds its site in the environment, and hands over to a flow or a library call."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from croma import storage
from croma.cli import show
from croma.errors import ContractError, InputError
from croma.recipes.comparison import load_comparison
from croma.recipes.recipe import Recipe, load_recipe, recipe_names
from croma.recipes.sweep import load_sweep
from croma.shards.dataset import open_dataset
from croma.shards.reader import verify as find_faults
from croma.shards.ref import DatasetRef
from flows.environment import prepare as prepare_prefect
from flows.site import Site

app = typer.Typer(
    help="Radar-optical pretraining, from a STAC search to a registered model. Where things are comes from the "
    "environment (CROMA_CATALOG, CROMA_STORAGE, …): see `croma schema --site`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_KINDS = {"sweep": "sweeps", "compare": "compare"}
"""Command and folder of what is made of recipes."""

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of one that comes along.")]
DatasetName = Annotated[
    str, typer.Argument(metavar="DATASET", help="A name in storage or an address; @N for version N.")
]


@app.command()
def plan(
    recipe: RecipeName,
    map: Annotated[  # noqa: A002 - the word on the command line
        Path | None, typer.Option(help="Picture of where the chips lie; by default in the site's home.")
    ] = None,
) -> None:
    """Search and pair without reading a pixel: what a build would make, in numbers and on a map."""
    from croma.building.prepare import survey

    spec, site = load_recipe(recipe).dataset, Site.load()
    picture = map or site.home / "plans" / f"{spec.name}.png"
    found = survey(spec, site.catalog, site.dataset(spec.name), picture)
    show.plan(found, site.prices)
    if found.shards:
        show.out.print(f"map: {picture}")


@app.command()
def build(recipe: RecipeName) -> None:
    """Build the recipe's dataset, or add to it what is new."""
    spec, site = load_recipe(recipe).dataset, _site()
    from flows.build_dataset import build_dataset

    ref = build_dataset(spec, site)
    show.dataset(open_dataset(ref))


@app.command()
def inspect(
    dataset: DatasetName,
    verify: Annotated[bool, typer.Option(help="Read every shard and compare checksums.")] = False,
    versions: Annotated[bool, typer.Option(help="List the history.")] = False,
    report: Annotated[bool, typer.Option(help="Write its report and metadata, unless they are there.")] = False,
) -> None:
    """Show what a dataset version is."""
    opened = open_dataset(_ref(dataset, Site.load()))
    show.dataset(opened)
    if versions:
        show.versions(opened.ref.uri)
    if report:
        from croma.building.describe import describe_version

        show.description(describe_version(opened.ref))
    if verify:
        faults = find_faults(opened)
        if faults:
            raise ContractError("\n".join(faults))
        show.out.print(f"verified: {len(opened.shards())} shards, every checksum agrees")


@app.command("import")
def import_(
    layout: Annotated[str, typer.Argument(metavar="LAYOUT", help="Which benchmark; `croma layouts` lists them.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where its files are, unpacked, as published.")],
    name: Annotated[str, typer.Option(help="Of the dataset, in storage or an address; the layout's.")] = "",
    size: Annotated[int | None, typer.Option(help="Pixels along a side of chips; what suits the benchmark.")] = None,
) -> None:
    """Turn the files of a published benchmark into a labelled dataset to evaluate on."""
    from croma.importing.run import import_benchmark

    name = name or layout
    uri = Site.load().dataset(name)
    ref = import_benchmark(layout, folder, uri, name=name.rstrip("/").rpartition("/")[2], size=size)
    show.imported(open_dataset(ref))


@app.command()
def layouts() -> None:
    """List the benchmarks that can be imported."""
    from croma.importing.benchmarks import LAYOUTS

    for name in LAYOUTS:
        show.out.print(name)


@app.command()
def vacuum(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="A name in storage or an address.")],
    days: Annotated[float, typer.Option(min=1, help="Leave alone what is younger; builds may need it.")] = 7,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, it is only listed.")] = False,
) -> None:
    """Remove what no version of a dataset needs: leftovers of builds that were killed, overtaken or refused."""
    from croma.building.vacuum import find_waste, remove_waste

    ref, age = _ref(dataset, Site.load()), timedelta(days=days)
    if ref.version is not None:
        raise InputError(f"dataset {dataset}: all versions are kept, so name none: {ref.uri}")
    waste = find_waste(ref.uri, age)
    if yes:
        waste = remove_waste(ref.uri, waste, age)
    show.waste(waste, removed=yes)


@app.command()
def pretrain(
    recipe: RecipeName,
    dataset: Annotated[str, typer.Option(help="Dataset version to learn from; the newest of the recipe's.")] = "",
) -> None:
    """Pretrain on the recipe's dataset; a run that was stopped goes on, one that is done is found."""
    loaded, site = load_recipe(recipe), _site()
    ref = open_dataset(_ref(dataset or loaded.dataset.name, site)).ref
    from flows.pretrain import pretrain as flow

    show.training(flow(loaded.name, loaded.pretrain, ref, site))


@app.command()
def sweep(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="A YAML file, or the name of one that comes along.")],
    dataset: Annotated[str, typer.Option(help="Dataset version to learn from; the newest of the recipe's.")] = "",
) -> None:
    """Pretrain a recipe with several learning rates, nested below one MLflow run; begun again it goes on."""
    plan = load_sweep(sweep)
    recipe, site = load_recipe(plan.recipe), _site()
    ref = open_dataset(_ref(dataset or recipe.dataset.name, site)).ref
    from croma.training.sweep import shortened
    from flows.sweep import sweep as flow

    show.sweep(flow(plan.name, shortened(recipe.pretrain, plan.steps), plan.rates, ref, site))


@app.command()
def evaluate(
    recipe: RecipeName,
    weights: Annotated[str, typer.Option(help="Address of a weights folder that a run has left.")],
    dataset: Annotated[str, typer.Option(help="Labelled dataset version; the newest of the recipe's.")] = "",
    suite: Annotated[str, typer.Option(help="Protocols in place of the recipe's: quick, paper, or a YAML file.")] = "",
    normalisation: Annotated[
        Literal["readme", "paper", "torchgeo"] | None, typer.Option(help="For weights that do not say: CROMA's files.")
    ] = None,
) -> None:
    """Judge weights beside baselines, and register them when the verdict is good."""
    loaded = load_recipe(recipe)
    spec = loaded.evaluate.with_suite(suite) if suite else loaded.evaluate
    spec = spec.model_copy(update={"normalisation": normalisation}) if normalisation else spec
    site = _site()
    ref = open_dataset(_ref(dataset or loaded.dataset.name, site)).ref
    from flows.evaluate import evaluate as flow

    show.scores(flow(loaded.name, spec, weights, ref, site))


@app.command()
def review(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Its name in MLflow: that of the recipe.")],
    to: Annotated[Path | None, typer.Option(help="File to write; EXPERIMENT-review.html here.")] = None,
    log: Annotated[bool, typer.Option(help="Keep the page in MLflow as well.")] = True,
) -> None:
    """Make one HTML page of an experiment: runs side by side, scores, curves, pictures. Opens without a server."""
    from croma.evaluation.review import publish_review
    from croma.evaluation.review import review as make_review

    site = Site.load()
    page = make_review(site.tracker, experiment, site.prices.worker_hour or None, site.prices.currency)
    file = to or Path(f"{experiment}-review.html")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page, encoding="utf-8")
    show.out.print(f"wrote {file}, {len(page) / 1e6:.1f} MB: open it in a browser")
    if log:
        show.out.print(f"kept in MLflow as review.html of run {publish_review(site.tracker, experiment, page)}")


@app.command()
def run(recipe: RecipeName) -> None:
    """Build, pretrain, evaluate and register, as one flow."""
    loaded, site = load_recipe(recipe), _site()
    from flows.end_to_end import end_to_end

    show.outcome(end_to_end(loaded, site), site)


@app.command()
def compare(
    comparison: Annotated[
        str, typer.Argument(metavar="COMPARISON", help="A YAML file, or the name of one that comes along.")
    ],
    dataset: Annotated[str, typer.Option(help="Labelled dataset version; the newest of the comparison's.")] = "",
) -> None:
    """Pretrain several methods within equal budgets, judge all by one suite, and write one review."""
    loaded, site = load_comparison(comparison), _site()
    ref = open_dataset(_ref(dataset or loaded.dataset, site)).ref
    from flows.compare import compare as flow

    show.comparison(flow(loaded, ref, site))


@app.command()
def demo(
    home: Annotated[Path, typer.Option(help="Where the demo keeps everything it makes.")] = Path(".croma"),
) -> None:
    """The main job, offline: a simulated stretch of Earth behind a real STAC API, then `run`."""
    from croma.simulate.spec import DEMO
    from croma.simulate.world import build_world

    show.console.print("Making a stretch of Earth (two years of Sentinel-1 and Sentinel-2 scenes)")
    world = build_world(DEMO, home / "world")
    with world.serve() as address:
        site = _site(catalog=address, storage=str(home / "storage"), home=home)
        from flows.end_to_end import end_to_end

        show.outcome(end_to_end(load_recipe("demo"), site), site)


@app.command()
def export(
    weights: Annotated[str, typer.Argument(help="Address of a weights folder that a run has left.")],
    to: Annotated[Path, typer.Argument(help="File to write.")],
    format: Annotated[  # noqa: A002 - the word on the command line
        Literal["croma", "safetensors"], typer.Option(help="croma: the five-part .pt file of the published weights.")
    ] = "croma",
) -> None:
    """Write weights for use elsewhere."""
    if format == "safetensors":
        storage.download(weights, to)
    else:
        from croma.evaluation.sources import open_weights
        from croma.model.published import save_published

        with open_weights(weights) as source:
            save_published(source.model, to)
    show.out.print(f"wrote {to}")


@app.command()
def schema(site: Annotated[bool, typer.Option(help="Of the site's variables instead of recipes.")] = False) -> None:
    """Print the JSON schema of a recipe, for editors and forms."""
    described: dict[str, Any] = (Site if site else Recipe).model_json_schema()
    show.out.print_json(json.dumps(described))


@app.command()
def recipes() -> None:
    """List the recipes that come along, the sweeps and the comparisons."""
    lines = list(recipe_names())
    lines += [f"{name}  (croma {verb})" for verb, kind in _KINDS.items() for name in recipe_names(kind)]
    for line in lines:
        show.out.print(line)


@app.command()
def serve(
    home: Annotated[Path, typer.Option(help="The demo's home.")] = Path(".croma"),
    prefect_port: int = 4200,
    mlflow_port: int = 5000,
) -> None:
    """Open Prefect and MLflow on loopback over what a demo left, until Ctrl-C."""
    from croma.cli.servers import serve_local

    if not home.is_dir():
        raise InputError(f"{home}: nothing to show yet; run `croma demo` first")
    serve_local(_site(home=home), prefect_port, mlflow_port)


@app.command()
def deploy(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="What the schedules work on.")] = "demo",
    file: Annotated[Path, typer.Option(help="The declarations.")] = Path("prefect.yaml"),
    kubernetes: Annotated[
        Path | None, typer.Option(help="Folder with job-template.yaml and pools.yaml; runs become Jobs.")
    ] = None,
    overlap: Annotated[
        Literal["refuse", "queue"] | None,
        typer.Option(help="A scheduled run that begins while the one before it goes on; by default as the file says."),
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Print what would be registered.")] = False,
) -> None:
    """Register deployments, pools and schedules with the server of PREFECT_API_URL."""
    if not dry_run and not os.environ.get("PREFECT_API_URL"):
        raise InputError("PREFECT_API_URL is not set: export the address of a Prefect server, as http://host:4200/api")
    prepare_prefect(Site.load())
    from flows import deployments

    planned = deployments.plan(file, recipe, overlap)
    if dry_run:
        rows = deployments.describe(planned)
        show.table(rows, "deployment", "pool", "schedule (UTC)", "at once", "parameters")
        return
    for name in deployments.register(planned, kubernetes):
        show.out.print(name)
    if notices := os.environ.get("CROMA_NOTICES_URL"):
        show.out.print(f"automation {deployments.notify(notices)}")


def _site(**settings: object) -> Site:
    """The site, with Prefect made ready for it."""
    site = Site.load(**settings)
    prepare_prefect(site)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return site


def _ref(text: str, site: Site) -> DatasetRef:
    named = DatasetRef.of(text)
    return DatasetRef(uri=site.dataset(named.uri), version=named.version)
