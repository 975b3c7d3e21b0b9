"""The ledger of a dataset: a Delta table of every pair that was cut and became no chip, and why."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from croma import storage
from croma.shards import delta
from croma.shards.card import ShardCard

RETRIED = ("unreadable",)
"""Reasons that may pass: such pairs are planned again by the next build."""

SCHEMA = pa.schema(
    [
        pa.field("entry", pa.string(), nullable=False),
        pa.field("chip", pa.string(), nullable=False),
        pa.field("cell", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)
"""`entry` is chip, rule and reason together, so that two builds at once that refuse the same pair, or one that tries it
again, have refused it once. `rule` is the fingerprint of the quality that was asked for; `shard` refused it first."""


def ledger_address(uri: str) -> str:
    """Where the ledger of the dataset at `uri` is."""
    return storage.join(uri, "ledger")


def record(uri: str, cards: Iterable[ShardCard], rule: str) -> None:
    """Add what finished shards refused, under the quality with fingerprint `rule`. Nothing is added twice."""
    rows = [
        {"entry": f"{row.chip} {rule} {row.reason}", "rule": rule, "shard": card.id, **row.model_dump()}
        for card in cards
        for row in card.rejections
    ]
    if rows:
        delta.append(ledger_address(uri), pa.Table.from_pylist(rows, SCHEMA), "entry", {"rule": rule})


def known_refusals(uri: str, rule: str) -> set[str]:
    """Ids of chips that were refused for good under this quality: cutting them again would refuse them again."""
    if not delta.exists(ledger_address(uri)):
        return set()
    rows = delta.read(ledger_address(uri), columns=["chip", "rule", "reason"])[0]
    final = pc.and_(pc.equal(rows["rule"], rule), pc.invert(pc.is_in(rows["reason"], value_set=pa.array(RETRIED))))
    return set(rows.filter(final)["chip"].to_pylist())


def refusals(uri: str, before: datetime | None = None) -> pa.Table:
    """The ledger (`SCHEMA`) as it was before a moment; whole for None."""
    address = ledger_address(uri)
    if not delta.exists(address):
        return SCHEMA.empty_table()
    version = None
    if before is not None:
        version = max((entry.number for entry in delta.history(address) if entry.time < before), default=0)
    return delta.read(address, version)[0].cast(SCHEMA)


def counts(uri: str) -> Counter[str]:
    """Refusals by reason, over the whole life of the dataset."""
    if not delta.exists(ledger_address(uri)):
        return Counter()
    return Counter(delta.read(ledger_address(uri), columns=["reason"])[0]["reason"].to_pylist())
