"""Filling a shard: its plan in, a tar in storage and then its card out.

A shard is a function of its plan: chips are cut scene by scene on many threads, but written in the plan's order with
bytes that depend on nothing else. The card is written last, so where a card is, its shard is whole.

Where files could not be read, the shard is a function of its plan and of what is missing, and has an id of its own: of
two builds that fill one plan at once, one of which was refused a file, neither writes over the other's bytes.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from croma import storage
from croma.building.labels import Place, label
from croma.building.shard_plan import ShardPlan
from croma.building.spool import Spool
from croma.building.statistics import chip_moments, together
from croma.chip import Chip, Rejection
from croma.document import digest
from croma.errors import UnusableError
from croma.logs import about
from croma.raster.cut import UNREADABLE, Cut, Subject, cut, unreadable
from croma.raster.read import Signer, Unsigned
from croma.sensors import Role
from croma.shards.card import BandStatistics, ChipRow, RejectionRow, ShardCard
from croma.shards.dataset import card_address, read_card, shard_address
from croma.shards.layout import ChipLayout
from croma.shards.moments import Moments
from croma.shards.writer import Written, write_shard

BATCH = 192 << 20
"""Bytes of finished chips that are cut at once. With what reading needs, a fill stays under 1.5 GB."""

THREADS = 16
"""Files that are read at once."""

UNSIGNED = Unsigned()

NOTHING = Written([], 0, hashlib.sha256().hexdigest())
"""What is written where every pair is refused."""


def fill(
    plan: ShardPlan, root: str, signer: Signer = UNSIGNED, *, threads: int = THREADS, verify: bool = False
) -> ShardCard:
    """Cut the chips of `plan`, store them as a shard of the dataset at `root`, and return its card.

    A shard that is there already is left as it is: one with a card that has its size (with `verify` also its sha256).
    Where every pair is refused there is a card and no shard. Where files could not be read, the card's id is not the
    plan's, and the next fill of the plan tries them again.

    Raises:
        TransientError: a server of imagery or the storage does not answer; nothing that is visible is half made.
    """
    with about(dataset=root, shard=plan.id):
        card = _finished(plan, root, verify)
        if card is None:
            card = _fill(plan, root, signer, threads)
            storage.write(card_address(root, card.id), card.to_json())
        return card


def _finished(plan: ShardPlan, root: str, verify: bool) -> ShardCard | None:
    """The card of a shard that is there and whole."""
    try:
        card = read_card(root, plan.id)
        # Written again before it is relied on, so that a vacuum sees that it is wanted.
        storage.write(card_address(root, plan.id), card.to_json())
        if not card.samples:
            return card
        address = shard_address(root, card.split, card.id)
        whole = storage.size(address) == card.bytes
        if whole and verify:
            whole = hashlib.sha256(storage.read(address)).hexdigest() == card.sha256
    except FileNotFoundError:
        return None
    return card if whole else None


def _fill(plan: ShardPlan, root: str, signer: Signer, threads: int) -> ShardCard:
    layout = ChipLayout(size=plan.chip_size, label=plan.labels is not None)
    refused: dict[int, Rejection] = {}
    counted: dict[Role, Moments] = {}
    with (
        TemporaryDirectory(prefix="croma-") as scratch,
        Spool(layout, scratch) as spool,
        ThreadPoolExecutor(threads) as pool,
    ):
        for batch in _batches(plan, layout):
            results = _cut(plan, batch, signer, pool)
            # Sums are taken in the order of the batches, which is that of the plan's scenes, so that they repeat.
            for number, result, found in zip(batch, results, pool.map(_count, results), strict=True):
                counted = together(counted, found)
                if isinstance(result, Rejection):
                    refused[number] = result
                else:
                    spool.put(number, result.chip)
        written, heads, ledger = NOTHING, spool.heads(), [refused[number] for number in sorted(refused)]
        shard = _id(plan, ledger)
        if heads:
            path = Path(scratch, "shard.tar")
            written = write_shard(path, spool.chips(), layout)
            storage.upload(path, shard_address(root, plan.split, shard))
    statistics = {role: found.statistics() for role, found in counted.items()}
    return _card(plan, shard, written, heads, statistics, ledger)


def _id(plan: ShardPlan, refused: Sequence[Rejection]) -> str:
    """The plan's id where all files could be read."""
    missing = [refusal.chip for refusal in refused if refusal.reason == UNREADABLE]
    return digest([plan.id, *missing]) if missing else plan.id


def _count(result: Cut | Rejection) -> dict[Role, Moments]:
    return chip_moments(result.chip, result.clear) if isinstance(result, Cut) else {}


def _batches(plan: ShardPlan, layout: ChipLayout) -> Iterator[list[int]]:
    """Numbers of the pairs of a plan, those of one scene together, in batches that fit into memory."""

    def place(number: int) -> tuple[str, str, int, int]:
        pair = plan.pairs[number]
        return pair.optical, pair.radar, -pair.cell.top, pair.cell.left

    order = sorted(range(len(plan.pairs)), key=place)
    size = max(BATCH // layout.length, 1)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _cut(plan: ShardPlan, batch: Sequence[int], signer: Signer, pool: Executor) -> list[Cut | Rejection]:
    """Cut the pairs of these numbers, and label those that become chips."""
    pairs = [plan.pairs[number] for number in batch]
    subjects = [Subject(pair, plan.radar(pair), plan.optical(pair)) for pair in pairs]
    results = cut(subjects, plan.chip_size, plan.quality, signer, pool)
    if plan.labels is None:
        return results
    places = {
        n: Place(result.chip, plan.label(pairs[n])) for n, result in enumerate(results) if isinstance(result, Cut)
    }
    labelled = label(list(places.values()), plan.chip_size, signer, pool)
    for n, chip in zip(places, labelled, strict=True):
        found = results[n]
        assert isinstance(found, Cut)
        results[n] = unreadable(pairs[n], chip) if isinstance(chip, UnusableError) else replace(found, chip=chip)
    return results


def _card(
    plan: ShardPlan,
    shard: str,
    written: Written,
    chips: Sequence[Chip],
    statistics: dict[Role, BandStatistics],
    refused: Sequence[Rejection],
) -> ShardCard:
    rows = []
    for chip, place in zip(chips, written.places, strict=True):
        cell = chip.cell
        where = {"epsg": cell.epsg, "left": cell.left, "top": cell.top, "split": plan.split, "shard": shard}
        rows.append(ChipRow.model_validate(chip.facts | where | place._asdict()))
    ledger = [RejectionRow(chip=r.chip, cell=str(r.cell), reason=r.reason, detail=r.detail) for r in refused]
    return ShardCard(
        id=shard,
        plan=plan.id,
        split=plan.split,
        chip_size=plan.chip_size,
        label=plan.labels is not None,
        samples=len(rows),
        bytes=written.size,
        sha256=written.sha256,
        rows=tuple(rows),
        statistics=statistics,
        rejections=tuple(ledger),
    )
