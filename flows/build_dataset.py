"""The flow that builds a dataset: search and plan, fill shards, seal a version. A second run finds it done."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from croma import storage
from croma.building.describe import Description, describe_version
from croma.building.prepare import Prepared, prepare
from croma.building.seal import seal
from croma.building.spec import BuildSpec
from croma.building.work import Filled, fill_planned
from croma.catalog.dialects import catalog_name
from croma.errors import InputError
from croma.logs import about
from croma.provenance import code_version
from croma.shards.dataset import read_cards
from croma.shards.ref import DatasetRef
from flows import logs, metrics, reports
from flows.policy import TRANSIENT
from flows.site import Site

log = logging.getLogger(__name__)
logs.speak()

TASKS = 100
"""At most this many fill tasks a run: the Prefect server records tens to hundreds of them well, not thousands."""


@flow(name="build-dataset", validate_parameters=True)
def build_dataset(spec: BuildSpec, site: Site | None = None) -> DatasetRef:
    """Build the dataset that `spec` describes, or add to it what is new in the catalog.

    Returns:
        The dataset version that holds all chips of `spec`.
    """
    site = site or Site.load()
    share = (site.build_cpus, site.build_memory_gb) if site.build_ray else None
    # On a cluster the tasks only wait, so all of them may, and the cluster decides how many shards are filled at once.
    runner: ThreadPoolTaskRunner[list[str]] = ThreadPoolTaskRunner(max_workers=TASKS if share else site.threads)
    # The cluster is left before the runner waits for its threads, so that they end where the flow is cancelled.
    with runner, _nodes(site):
        prepared = plan_dataset(spec, site.catalog, site.dataset(spec.name))
        futures = [
            runner.submit(fill_shards, {"uri": prepared.uri, "plan": prepared.plan, "shards": batch, "share": share})
            for batch in _batches(prepared.shards)
        ]
        cards = [card for batch in reports.with_progress(f"Shards of {spec.name}", futures) for card in batch]
    ref = seal_dataset(prepared, spec, cards, catalog_name(site.catalog))
    described = describe_dataset(ref, prepared.survey.left_out)
    reports.publish_dataset(prepared, ref, described)
    reports.log_dataset(ref, described, site)
    return ref


def _nodes(site: Site) -> AbstractContextManager[None]:
    """The cluster that fills shards, to be joined; nothing where this machine does.

    Raises:
        InputError: the cluster could not do it.
    """
    if not site.build_ray:
        return nullcontext()
    if find_spec("ray") is None:
        raise InputError("site: CROMA_BUILD_RAY: Ray is not installed here; install croma-pipeline[build,flows,ray]")
    away = site.build_ray.startswith("ray://") and not any(h in site.build_ray for h in ("//127.0.0.1", "//localhost"))
    if away and storage.local_path(site.root) is not None:
        raise InputError(f"storage {site.root}: a cluster cannot reach it; set CROMA_STORAGE to s3://bucket/prefix")
    # Only some images have Ray.
    from croma import nodes

    return nodes.join(site.build_ray)


def _batches(shards: tuple[str, ...]) -> list[list[str]]:
    """Shards in as many groups as there may be tasks, each as large as the others."""
    size = -(-len(shards) // TASKS)
    return [list(shards[start : start + size]) for start in range(0, len(shards), max(size, 1))]


@task(**TRANSIENT)
def plan_dataset(spec: BuildSpec, catalog: str, uri: str) -> Prepared:
    """Search the catalog and plan what the dataset does not hold yet."""
    return prepare(spec, catalog, uri)


@task(**TRANSIENT)
def fill_shards(uri: str, plan: str, shards: list[str], share: tuple[float, float] | None = None) -> list[str]:
    """Cut the chips of some planned shards and store them; shards that are there already are left. Ids of the cards.

    `share` is the CPUs and GB that a shard takes of a node of the cluster that the flow has joined; None fills here.
    """
    cards = {}
    for number, filled in _fill(uri, plan, shards, share):
        metrics.count(uri, filled)
        cards[number] = filled.card
        refused = sum(filled.refused.values())
        done = f"{len(cards)} of {len(shards)}"
        with about(dataset=uri, shard=filled.card):
            log.info("shard %s: %d chips, %d refused (%s)", filled.card, filled.chips, refused, done)
    return [cards[number] for number in range(len(shards))]


def _fill(uri: str, plan: str, shards: list[str], share: tuple[float, float] | None) -> Iterator[tuple[int, Filled]]:
    if share is None:
        return ((number, fill_planned(uri, plan, shard)) for number, shard in enumerate(shards))
    from croma.nodes import Share, spread

    cpus, gigabytes = share
    return spread(fill_planned, [(uri, plan, shard) for shard in shards], Share(cpus, round(gigabytes * 1e9)))


@task(**TRANSIENT)
def seal_dataset(prepared: Prepared, spec: BuildSpec, cards: list[str], catalog: str) -> DatasetRef:
    """Commit all shards of the plan, by the ids of their cards, to the index as one version."""
    note = {"recipe": spec.fingerprint, "code": code_version(), "catalog": catalog}
    return seal(prepared.uri, read_cards(prepared.uri, cards), note, spec.quality.fingerprint)


@task(**TRANSIENT)
def describe_dataset(ref: DatasetRef, left_out: dict[str, int]) -> Description:
    """Write the version's report and published metadata; they are found when they are there."""
    described = describe_version(ref, left_out)
    for check in described.failed:
        log.warning("%s: the check of %s failed: %s", ref, check.name, check.found)
    return described
