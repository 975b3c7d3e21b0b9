"""Importing a benchmark: its files in, shards, cards and a version of a dataset out, as a build leaves them.

A shard is a function of its plan: the importer, the chip size, and the names and sizes of the files of its images. An
import that was stopped goes on after its last shard; one that is done is found done.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from croma import storage
from croma.building.seal import seal
from croma.building.statistics import chip_moments, together
from croma.chip import SPLITS, Chip, Rejection, Split
from croma.document import digest
from croma.errors import InputError, UnusableError
from croma.grid import CHIP_MULTIPLE, Cell
from croma.importing import benchmarks
from croma.importing.benchmark import Benchmark, Entry
from croma.importing.chips import chips_of, starts
from croma.provenance import code_version
from croma.sensors import Role
from croma.shards.card import ChipRow, RejectionRow, ShardCard
from croma.shards.dataset import FORMAT, Header, card_address, read_card, shard_address, write_header
from croma.shards.layout import ChipLayout
from croma.shards.moments import Moments
from croma.shards.ref import DatasetRef
from croma.shards.writer import Written, write_shard

log = logging.getLogger(__name__)

CHIPS = 256
"""About as many a shard."""

READERS = 8
"""Images read at once."""

PATCH = 8
"""Chip sizes are multiples of it, so that they are whole patches."""

IMPORTER = 1
"""Raised when an importer makes other chips of the same files."""

NOWHERE = Cell(0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Part:
    """The plan of one shard."""

    id: str
    split: Split
    entries: tuple[Entry, ...]


def import_benchmark(layout: str, folder: Path, uri: str, *, name: str, size: int | None = None) -> DatasetRef:
    """Turn a published benchmark into a labelled dataset at `uri`.

    Args:
        layout: which benchmark; see `croma.importing.benchmarks`.
        folder: where its files are, as they are published.
        uri: the dataset.
        name: of the dataset.
        size: pixels along a side of chips; None for what suits the benchmark.

    Returns:
        The version that holds all its chips.

    Raises:
        InputError: the folder does not hold this benchmark, the size does not suit it, another dataset is at `uri`, or
            no image can be used. Nothing is written then.
    """
    found = benchmarks.open_benchmark(layout, folder)
    size = _checked_size(found, size)
    plan = parts(layout, found, size)
    write_header(uri, header(found, name, size))
    cards = []
    for number, part in enumerate(plan, 1):
        card = _finished(part, uri) or _fill(part, found, uri, size)
        cards.append(card)
        log.info("%s: shard %d of %d: %d chips, %d refused", uri, number, len(plan), card.samples, len(card.rejections))
    return seal(uri, cards, {"import": layout, "code": code_version()}, layout)


def header(found: Benchmark, name: str, size: int) -> Header:
    """What all versions of the dataset of a benchmark have in common."""
    return Header(
        format=FORMAT,
        name=name,
        chip_size=size,
        label=found.labels in ("mask", "change"),
        sources=found.sources,
        sensors=found.sensors,
        native=found.native,
        normalised=found.normalised,
        labels=found.labels,
        classes=dict(found.classes),
    )


def parts(layout: str, found: Benchmark, size: int) -> list[Part]:
    """The shards of a benchmark: its entries by split and name, as many in each as give about `CHIPS` chips."""
    each = max(1, CHIPS // len(starts(found.image, size)) ** 2)
    plan = []
    for split in SPLITS:
        members = [entry for entry in found.entries if entry.split == split]
        for start in range(0, len(members), each):
            some = tuple(members[start : start + each])
            content = [IMPORTER, layout, size, split, [_line(entry) for entry in some], dict(found.classes)]
            plan.append(Part(id=digest(_plain(content)), split=split, entries=some))
    return plan


def _line(entry: Entry) -> list[object]:
    files = sorted((kind, path.name, path.stat().st_size) for kind, path in entry.files.items() if path.exists())
    label = sorted(entry.label) if isinstance(entry.label, frozenset) else entry.label
    return [entry.name, entry.number, label, files, dict(entry.facts), entry.refused]


def _plain(content: object) -> object:
    """Tuples as lists and keys as text, as JSON has them."""
    if isinstance(content, Mapping):
        return {str(key): _plain(value) for key, value in content.items()}
    return [_plain(each) for each in content] if isinstance(content, list | tuple) else content


def _checked_size(found: Benchmark, size: int | None) -> int:
    size = size or found.size
    if found.native and size != found.image:
        raise InputError(
            f"size {size}: bands of {found.sources[0]} come at 10, 20 and 60 m, so its images of {found.image} px are "
            "taken whole; leave the size out"
        )
    if size < CHIP_MULTIPLE or size % PATCH:
        raise InputError(
            f"size {size}: a chip is at least {CHIP_MULTIPLE} px, and a whole number of patches of {PATCH} px"
        )
    return size


def _finished(part: Part, uri: str) -> ShardCard | None:
    try:
        card = read_card(uri, part.id)
        whole = not card.samples or storage.size(shard_address(uri, card.split, card.id)) == card.bytes
    except FileNotFoundError:
        return None
    return card if whole else None


def _fill(part: Part, found: Benchmark, uri: str, size: int) -> ShardCard:
    """Write the shard and then its card; where every image is refused there is a card and no shard."""
    layout = ChipLayout(size=size, label=found.labels in ("mask", "change"), native=found.native)
    refused: list[Rejection] = []
    rows: list[Chip] = []
    counted: dict[Role, Moments] = {}

    def kept() -> Iterator[Chip]:
        nonlocal counted
        for result in _results(part.entries, found, layout):
            if isinstance(result, Rejection):
                refused.append(result)
                continue
            counted = together(counted, chip_moments(result, None))
            rows.append(_head(result))
            yield result

    with TemporaryDirectory(prefix="croma-") as scratch:
        path = Path(scratch, "shard.tar")
        written = write_shard(path, kept(), layout)
        if rows:
            storage.upload(path, shard_address(uri, part.split, part.id))
    statistics = {role: moments.statistics() for role, moments in counted.items()}
    card = ShardCard(
        id=part.id,
        plan=part.id,
        split=part.split,
        chip_size=size,
        label=layout.label,
        samples=len(rows),
        bytes=written.size,
        sha256=written.sha256,
        rows=tuple(_rows(rows, written, part)),
        statistics=statistics,
        rejections=tuple(
            RejectionRow(chip=r.chip, cell=str(r.cell), reason=r.reason, detail=r.detail) for r in refused
        ),
    )
    storage.write(card_address(uri, part.id), card.to_json())
    return card


def _results(entries: Iterable[Entry], found: Benchmark, layout: ChipLayout) -> Iterator[Chip | Rejection]:
    """Chips and refusals in the order of the entries; a few images are read ahead."""
    wanted = list(entries)
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(wanted), READERS):
            batch = wanted[start : start + READERS]
            for results in pool.map(lambda entry: _cut(entry, found, layout), batch):
                yield from results


def _cut(entry: Entry, found: Benchmark, layout: ChipLayout) -> Sequence[Chip | Rejection]:
    if entry.refused is not None:
        reason, detail = entry.refused
        return [Rejection(chip=entry.name, cell=NOWHERE, reason=reason, detail=detail)]
    try:
        return [chip for sample in found.read(entry) for chip in chips_of(sample, layout)]
    except UnusableError as error:
        return [Rejection(chip=entry.name, cell=NOWHERE, reason="unreadable", detail=str(error))]


def _head(chip: Chip) -> Chip:
    """A chip without its pixels."""
    return Chip(id=chip.id, cell=chip.cell, radar=chip.radar[:, :0], optical={}, label=None, facts=chip.facts)


def _rows(chips: Sequence[Chip], written: Written, part: Part) -> Iterator[ChipRow]:
    for chip, place in zip(chips, written.places, strict=True):
        facts = {name: value for name, value in chip.facts.items() if name in ChipRow.model_fields}
        where = {**chip.cell._asdict(), "split": part.split, "shard": part.id}
        yield ChipRow.model_validate(facts | where | place._asdict())
