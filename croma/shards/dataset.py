"""A dataset version, opened: its chips, its layout, where its shards are, its statistics."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from croma import storage
from croma.chip import Split
from croma.document import Document
from croma.errors import ContractError, InputError
from croma.sensors import Role
from croma.shards import index
from croma.shards.card import BandStatistics, ShardCard, merge_statistics
from croma.shards.layout import ChipLayout
from croma.shards.ref import DatasetRef

FORMAT = 1
"""Version of the storage format that this code reads and writes."""


THREADS = 16
"""Requests to storage at once."""

Result = TypeVar("Result")

LabelKind = Literal["mask", "class", "classes", "change"]
"""What a label says: the class of every pixel, the one class of a chip, its several classes, or which pixels changed
between two dates of a place."""


class Header(Document):
    """`dataset.json`: what all versions of a dataset have in common. Written once, before the first shard."""

    format: int
    name: str
    chip_size: int
    """Pixels of 10 m."""
    label: bool
    """Whether chips have a label plane."""
    sources: tuple[str, ...]
    """Collections the pixels come from, or the name of a benchmark."""
    sensors: tuple[Role, ...] = ("radar", "optical")
    """Of one that is not among them, every chip is nodata."""
    native: bool = True
    """See `ChipLayout`."""
    normalised: bool = False
    """Whether pixels are numbers from 0 to 255 that somebody has normalised (optical ones plus 1, since 0 is nodata),
    not decibels and reflectance."""
    labels: LabelKind = "mask"
    """What labels say, where there are any."""
    classes: dict[int, str] = Field(default_factory=dict)
    """Names by code, where the sources do not say them."""

    @property
    def labelled(self) -> bool:
        """Whether chips have labels of any kind."""
        return self.label or self.labels in ("class", "classes")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One version of a dataset, read-only."""

    ref: DatasetRef
    """With the version resolved."""
    header: Header
    rows: pa.Table
    """All chips (`croma.shards.index.SCHEMA`), ordered by shard and offset."""

    @property
    def layout(self) -> ChipLayout:
        """How its chips are laid out."""
        header = self.header
        return ChipLayout(size=header.chip_size, label=header.label, native=header.native)

    def table(self, split: Split | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of a split (all for None), ordered by shard and offset."""
        rows = self.rows if columns is None else self.rows.select(list(columns))
        return rows if split is None else rows.filter(pc.equal(self.rows["split"], split))

    def shards(self, split: Split | None = None) -> list[tuple[str, str]]:
        """(split, shard id) of every shard that holds chips of this version, sorted."""
        rows = self.table(split, ["split", "shard"]).group_by(["split", "shard"]).aggregate([])
        return sorted(zip(rows["split"].to_pylist(), rows["shard"].to_pylist(), strict=True))

    def statistics(self, split: Split = "train") -> dict[Role, BandStatistics]:
        """Band statistics of a split over clear and valid pixels, merged from the cards of its shards.

        Merged once a version and kept beside the dataset.
        """
        kept = storage.join(self.ref.uri, "versions", str(self.ref.version), f"statistics-{split}.json")
        if not storage.exists(kept):
            shards = [shard for _, shard in self.shards(split)]
            merged = merge_statistics(side_by_side(lambda shard: read_statistics(self.ref.uri, shard), shards))
            content = {role: statistics.model_dump(mode="json") for role, statistics in merged.items()}
            storage.create(kept, json.dumps(content, sort_keys=True).encode())
        found: Mapping[Role, object] = json.loads(storage.read(kept))
        return {role: BandStatistics.parse(data, kept) for role, data in found.items()}

    def cards(self, split: Split | None = None) -> list[ShardCard]:
        """Cards of the shards of this version, in the order of `shards`."""
        return list(read_cards(self.ref.uri, [shard for _, shard in self.shards(split)]))


def open_dataset(ref: DatasetRef) -> Dataset:
    """Open a version of a dataset.

    Raises:
        InputError: there is no such dataset or version, or a newer program wrote it.
    """
    rows, version = index.load(ref.uri, ref.version)
    return Dataset(ref=DatasetRef(uri=ref.uri, version=version), header=read_header(ref.uri), rows=rows)


def shard_address(uri: str, split: str, shard: str) -> str:
    """Where a shard's tar is."""
    return storage.join(uri, "shards", split, f"{shard}.tar")


def card_address(uri: str, shard: str) -> str:
    """Where a shard's card is."""
    return storage.join(uri, "cards", f"{shard}.json")


def read_card(uri: str, shard: str) -> ShardCard:
    """The card of a finished shard.

    Raises:
        FileNotFoundError: the shard is not finished.
    """
    address = card_address(uri, shard)
    return ShardCard.parse(json.loads(storage.read(address)), address)


def read_cards(uri: str, shards: Sequence[str]) -> Iterator[ShardCard]:
    """The cards of finished shards in their order; few are in memory at once, for the rows of one take megabytes.

    Raises:
        FileNotFoundError: a shard is not finished.
    """
    return side_by_side(lambda shard: read_card(uri, shard), shards)


def read_statistics(uri: str, shard: str) -> dict[Role, BandStatistics]:
    """What the card of a finished shard says of its bands; its rows, of which there may be thousands, are passed over.

    Raises:
        FileNotFoundError: the shard is not finished.
    """
    address = card_address(uri, shard)
    found: Mapping[Role, object] = json.loads(storage.read(address))["statistics"]
    return {role: BandStatistics.parse(data, address) for role, data in found.items()}


def side_by_side(read: Callable[[str], Result], shards: Sequence[str]) -> Iterator[Result]:
    """`read` of all shards in their order, on threads, not farther ahead than there are threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(shards), THREADS):
            yield from pool.map(read, shards[start : start + THREADS])


def read_header(uri: str) -> Header:
    """What all versions of the dataset at `uri` have in common.

    Raises:
        InputError: there is none, or its format is newer than this program.
    """
    address = storage.join(uri, "dataset.json")
    try:
        header = Header.parse(json.loads(storage.read(address)), address)
    except FileNotFoundError:
        raise InputError(f"dataset {uri}: there is none; build it first, or check the address") from None
    if header.format > FORMAT:
        raise InputError(f"dataset {uri}: format {header.format} is newer than this program ({FORMAT}); upgrade it")
    return header


def write_header(uri: str, header: Header) -> None:
    """Begin a dataset, or check that it can be continued.

    Raises:
        InputError: a dataset with other chips is there.
    """
    if storage.create(storage.join(uri, "dataset.json"), header.to_json()):
        return
    there = read_header(uri)
    differing = [name for name in Header.model_fields if getattr(there, name) != getattr(header, name)]
    if differing:
        changes = ", ".join(f"{name} is {getattr(there, name)}, not {getattr(header, name)}" for name in differing)
        raise InputError(f"dataset {uri}: exists and differs ({changes}); give the recipe another dataset name")


def check_shards_exist(uri: str, cards: Sequence[ShardCard]) -> None:
    """See that the shard of every card is there with its full size.

    Raises:
        ContractError: names the shards that are not.
    """

    def fault(card: ShardCard) -> str | None:
        address = shard_address(uri, card.split, card.id)
        try:
            found = storage.size(address)
        except FileNotFoundError:
            return f"{address}: missing, its card says {card.bytes}"
        return None if found == card.bytes else f"{address}: {found} bytes, its card says {card.bytes}"

    with ThreadPoolExecutor(THREADS) as pool:
        faults = list(filter(None, pool.map(fault, (card for card in cards if card.samples))))
    if faults:
        raise ContractError("\n".join(faults))
