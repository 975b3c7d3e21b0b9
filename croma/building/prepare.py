"""From a recipe to shard plans in storage: search the catalog, leave out what is there, plan the rest.

Plans are kept beside the dataset, so that filling needs only a shard's id, on whatever machine it runs.
"""

import logging
from collections import Counter
from pathlib import Path

from croma import storage
from croma.building import book
from croma.building.doubts import settle_doubts
from croma.building.estimate import Estimate, estimate
from croma.building.gather import gather
from croma.building.plan import Plan, make_plan
from croma.building.shard_plan import ShardPlan
from croma.building.spec import BuildSpec
from croma.building.where import sites
from croma.catalog.dialects import address_of, dialect_for
from croma.catalog.scene import Refusal
from croma.catalog.signing import default_signer
from croma.document import Document
from croma.shards import index, ledger
from croma.shards.dataset import FORMAT, Header, write_header

log = logging.getLogger(__name__)


class Survey(Document):
    """What a build would do, in numbers."""

    uri: str
    """The dataset."""
    scenes: dict[str, int]
    """Scenes that pairs come from, by collection."""
    chips: dict[str, int]
    """Pairs to be cut, by split."""
    shards: int
    known: int
    """Chips that the dataset has already."""
    refused_before: int
    """Pairs that were cut before and refused for good."""
    left_out: dict[str, int]
    """Places that become no chip, by reason."""
    unused_scenes: dict[str, int]
    """Scenes that are not used, by reason."""
    examples: dict[str, str]
    """One detail for each reason of the two above."""
    estimate: Estimate
    """What filling will take."""


class Prepared(Document):
    """A planned build: what is to be filled, and the numbers behind it."""

    uri: str
    plan: str
    """Address of the stored plan (`croma.building.book`); empty where there is nothing to do."""
    shards: tuple[str, ...]
    """Ids of planned shards."""
    survey: Survey


def prepare(spec: BuildSpec, catalog: str, uri: str) -> Prepared:
    """Plan the build of `spec` from `catalog` into the dataset at `uri`, and store the plans.

    Raises:
        InputError: the catalog or the recipe is wrong, nothing matches, or the dataset at `uri` is another one.
        TransientError: the catalog or the storage does not answer.
    """
    plan, survey = _plan(spec, catalog, uri, look=True)
    write_header(uri, header(spec))
    address, ids = book.store(plan.book, storage.join(uri, "plans")) if len(plan.shards) else ("", ())
    return Prepared(uri=uri, plan=address, shards=ids, survey=survey)


def survey(spec: BuildSpec, catalog: str, uri: str, picture: Path | None = None) -> Survey:
    """What `prepare` would plan. Writes nothing to storage and reads no pixel.

    Args:
        spec: the dataset.
        catalog: name or address.
        uri: of the dataset.
        picture: where a map of the planned chips goes; nothing is drawn where none are planned.
    """
    plan, summary = _plan(spec, catalog, uri, look=False)
    if picture is not None and summary.shards:
        # Loads matplotlib, which filling does without.
        from croma.building.plan_map import draw

        draw(plan.book, spec, picture)
    return summary


def read_plan(plan: str, shard: str) -> ShardPlan:
    """The plan of a shard, from the plan that `prepare` stored."""
    columns, numbers = book.load(plan)
    return columns.shard(numbers[shard])


def header(spec: BuildSpec) -> Header:
    """What all versions of the dataset of `spec` have in common."""
    sources = (spec.radar, spec.optical) + ((spec.labels.collection,) if spec.labels else ())
    return Header(format=FORMAT, name=spec.name, chip_size=spec.chip_size, label=bool(spec.labels), sources=sources)


def _plan(spec: BuildSpec, catalog: str, uri: str, look: bool) -> tuple[Plan, Survey]:
    """With `look`, scenes are read whose items contradict themselves about their offset."""
    address = address_of(catalog)
    found = gather(spec, address, dialect_for(address))
    chips = index.known_chips(uri)
    refused = ledger.known_refusals(uri, spec.quality.fingerprint)
    where = sites(spec, found.layer, default_signer())
    optical, unsettled = found.optical, list[Refusal]()
    if look:
        optical, unsettled = settle_doubts(optical, spec.pair.max_scene_cloud, default_signer())
    plan = make_plan(spec, optical, found.radar, found.labels, chips | refused, where)
    unused = (*found.refused, *unsettled, *plan.refused)
    reasons = [(refusal.reason, f"{refusal.scene}: {refusal.detail}") for refusal in unused]
    places = [(place.reason, f"{place.cell}: {place.detail}") for place in plan.rejections]
    summary = Survey(
        uri=uri,
        scenes=plan.scenes,
        chips=plan.chips,
        shards=len(plan.shards),
        known=len(chips),
        refused_before=len(refused),
        left_out=dict(Counter(reason for reason, _ in places)),
        unused_scenes=dict(Counter(reason for reason, _ in reasons)),
        examples=dict(reversed(reasons + places)),
        estimate=estimate(plan.book),
    )
    planned = sum(plan.chips.values())
    log.info("%s: %d chips in %d shards to cut, %d there already", uri, planned, len(plan.shards), len(chips))
    return plan, summary
