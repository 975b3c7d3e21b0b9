"""The flow that compares methods: all pretrained within equal budgets, judged by one suite, shown on one page."""

from prefect import flow, task

from croma import storage
from croma.recipes.comparison import Compared, Comparison, Entry
from croma.shards.ref import DatasetRef
from flows import reports
from flows.evaluate import score
from flows.policy import TRANSIENT
from flows.pretrain import run_training
from flows.site import Site


@flow(name="compare", validate_parameters=True)
def compare(comparison: Comparison, dataset: DatasetRef, site: Site | None = None) -> Compared:
    """Pretrain and judge every method of a comparison on a dataset version; what has been done already is found."""
    site = site or Site.load()
    flops = count_flops(comparison)
    reference, entries = "", list[Entry]()
    for budget, method, spec in comparison.plan(flops):
        trained = run_training(comparison.name, spec, dataset, site)
        reference = trained.weights if method == comparison.reference else reference
        card = score(comparison.name, comparison.judgement, trained.weights, dataset, site, rival=reference)
        fields = {"budget": budget, "method": method, "flops": flops[method], "samples": spec.steps * spec.global_batch}
        entries.append(Entry.model_validate({**fields, "training": trained, "scorecard": card}))
    review = publish_page(comparison, entries, site)
    compared = Compared(
        name=comparison.name, dataset=dataset, reference=comparison.reference, entries=tuple(entries), review=review
    )
    storage.write(storage.join(site.root, "comparisons", f"{comparison.name}.json"), compared.to_json())
    reports.publish_comparison(compared)
    return compared


@task
def count_flops(comparison: Comparison) -> dict[str, float]:
    """Floating-point operations of one sample, by method."""
    # Loads torch, which a flow that only submits or schedules must not need.
    from croma.training.cost import training_flops

    return {method: training_flops(objective) for method, objective in comparison.objectives.items()}


@task(**TRANSIENT)
def publish_page(comparison: Comparison, entries: list[Entry], site: Site) -> str:
    """Name the runs after their methods and keep the review of all of them in MLflow; the id of its run."""
    # Loads MLflow, which a build does not have.
    from croma.evaluation.review import publish_review, review
    from croma.tracking.records import rename_run

    for entry in entries:
        if entry.training.tracking is not None:
            equal = "" if entry.method == comparison.reference else f", equal {entry.budget}"
            rename_run(site.tracker, entry.training.tracking, f"{entry.method}{equal}")
    return publish_review(site.tracker, comparison.name, review(site.tracker, comparison.name))
