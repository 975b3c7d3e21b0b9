"""Reading chips back, and checking that what is stored is what was written."""

import hashlib
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from croma import ranges, storage
from croma.errors import ContractError
from croma.shards.dataset import Dataset, read_card, shard_address
from croma.shards.layout import ChipLayout, decode


def read_chip(uri: str, row: dict[str, Any], layout: ChipLayout) -> dict[str, npt.NDArray[Any]]:
    """The planes of one chip, by one range read.

    Args:
        uri: the dataset.
        row: its row of the index.
        layout: of the dataset.

    Raises:
        ContractError: the bytes are not those that were written.
    """
    address = shard_address(uri, row["split"], row["shard"])
    data = ranges.read_range(address, row["offset"], row["length"])
    if len(data) != row["length"] or zlib.crc32(data) != row["crc32"]:
        raise ContractError(
            f"{address}: chip {row['chip']} is damaged (checksum differs); restore or rebuild the shard"
        )
    return decode(data, layout)


def read_chips(dataset: Dataset, rows: list[dict[str, Any]]) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """The planes of several chips, in the given order."""
    for row in rows:
        yield read_chip(dataset.ref.uri, row, dataset.layout)


def verify(dataset: Dataset) -> list[str]:
    """Read every shard and compare with its card and the index. Returns what is wrong, one sentence each."""
    faults = []
    for split, shard in dataset.shards():
        address = shard_address(dataset.ref.uri, split, shard)
        try:
            card = read_card(dataset.ref.uri, shard)
            data = storage.read(address)
        except FileNotFoundError as error:
            faults.append(f"{address}: the shard or its card is missing ({error})")
            continue
        if hashlib.sha256(data).hexdigest() != card.sha256:
            faults.append(f"{address}: sha256 differs from its card")
            faults += _damaged_chips(dataset, shard, data, address)
    return faults


def _damaged_chips(dataset: Dataset, shard: str, data: bytes, address: str) -> list[str]:
    rows = dataset.rows.filter(np.asarray(dataset.rows["shard"]) == shard).to_pylist()
    view = memoryview(data)
    return [
        f"{address}: chip {row['chip']} is damaged (checksum differs)"
        for row in rows
        if zlib.crc32(view[row["offset"] : row["offset"] + row["length"]]) != row["crc32"]
    ]
