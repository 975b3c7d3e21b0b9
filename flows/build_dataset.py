"""The flow that builds a dataset: search and plan, fill shards, seal a version. A second run finds it done."""

import logging

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from croma.building.describe import Description, describe_version
from croma.building.fill import fill
from croma.building.prepare import Prepared, prepare, read_plan
from croma.building.seal import seal
from croma.building.spec import BuildSpec
from croma.catalog.dialects import catalog_name
from croma.catalog.signing import default_signer
from croma.logs import about
from croma.provenance import code_version
from croma.shards.dataset import read_card
from croma.shards.ref import DatasetRef
from flows import metrics, reports
from flows.policy import TRANSIENT
from flows.site import Site

log = logging.getLogger(__name__)

TASKS = 100
"""At most this many fill tasks a run: the Prefect server records tens to hundreds of them well, not thousands."""


@flow(name="build-dataset", validate_parameters=True)
def build_dataset(spec: BuildSpec, site: Site | None = None) -> DatasetRef:
    """Build the dataset that `spec` describes, or add to it what is new in the catalog.

    Returns:
        The dataset version that holds all chips of `spec`.
    """
    site = site or Site.load()
    prepared = plan_dataset(spec, site.catalog, site.dataset(spec.name))
    batches = _batches(prepared.shards)
    runner: ThreadPoolTaskRunner[list[str]] = ThreadPoolTaskRunner(max_workers=site.threads)
    with runner:
        futures = [
            runner.submit(fill_shards, {"uri": prepared.uri, "plan": prepared.plan, "shards": batch})
            for batch in batches
        ]
        cards = [card for future in futures for card in future.result()]
    ref = seal_dataset(prepared, spec, cards, catalog_name(site.catalog))
    described = describe_dataset(ref, prepared.survey.left_out)
    reports.publish_dataset(prepared, ref, described)
    reports.log_dataset(ref, described, site)
    return ref


def _batches(shards: tuple[str, ...]) -> list[list[str]]:
    """Shards in as many groups as there may be tasks, each as large as the others."""
    size = -(-len(shards) // TASKS)
    return [list(shards[start : start + size]) for start in range(0, len(shards), max(size, 1))]


@task(**TRANSIENT)
def plan_dataset(spec: BuildSpec, catalog: str, uri: str) -> Prepared:
    """Search the catalog and plan what the dataset does not hold yet."""
    return prepare(spec, catalog, uri)


@task(**TRANSIENT)
def fill_shards(uri: str, plan: str, shards: list[str]) -> list[str]:
    """Cut the chips of some planned shards and store them; shards that are there already are left. Ids of the cards."""
    cards = []
    for shard in shards:
        card = fill(read_plan(plan, shard), uri, default_signer())
        metrics.count(uri, card)
        with about(dataset=uri, shard=card.id):
            log.info("shard %s: %d chips, %d refused", card.id, card.samples, len(card.rejections))
        cards.append(card.id)
    return cards


@task(**TRANSIENT)
def seal_dataset(prepared: Prepared, spec: BuildSpec, cards: list[str], catalog: str) -> DatasetRef:
    """Commit all shards of the plan, by the ids of their cards, to the index as one version."""
    found = [read_card(prepared.uri, card) for card in cards]
    note = {"recipe": spec.fingerprint, "code": code_version(), "catalog": catalog}
    return seal(prepared.uri, found, note, spec.quality.fingerprint)


@task(**TRANSIENT)
def describe_dataset(ref: DatasetRef, left_out: dict[str, int]) -> Description:
    """Write the version's report and published metadata; they are found when they are there."""
    described = describe_version(ref, left_out)
    for check in described.failed:
        log.warning("%s: the check of %s failed: %s", ref, check.name, check.found)
    return described
