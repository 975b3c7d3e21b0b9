"""Embeddings of chips, computed once and kept in storage.

The unit that is kept is the chips of one shard, named by a fingerprint of everything its numbers depend on: encoder,
modality, layer, and the ids and checksums of the chips. So a run that was cut short goes on after its last shard, a new
dataset version embeds its new shards alone, and nothing stale can be found.
"""

import io
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from croma import storage
from croma.batches.batch import RawBatch
from croma.document import digest
from croma.evaluation.encoders import Encoder, Layer
from croma.sensors import Modality
from croma.shards.dataset import Dataset
from croma.shards.layout import optical_by_resolution
from croma.shards.reader import read_chip

log = logging.getLogger(__name__)

READERS = 8
"""Chips read at once."""


def embed(
    encoder: Encoder,
    dataset: Dataset,
    rows: pa.Table,
    modalities: Sequence[Modality],
    root: str,
    *,
    layer: Layer = "pooled",
    batch: int = 64,
) -> dict[Modality, Tensor]:
    """Vectors of the chips of `rows`, in their order.

    Args:
        encoder: what makes them.
        dataset: the version that `rows` is part of.
        rows: of its index, ordered by shard.
        modalities: which vectors.
        root: of storage; embeddings are kept below `root/embeddings`.
        layer: `pooled` (n, d) or `patches` (n, patches, d).
        batch: chips encoded at once; memory holds two such batches.

    Returns:
        float32, by modality.
    """
    found: dict[Modality, list[Tensor]] = {modality: [] for modality in modalities}
    pieces = list(_by_shard(rows))
    for number, piece in enumerate(pieces, 1):
        for modality, vectors in _of_shard(encoder, dataset, piece, modalities, root, layer, batch).items():
            found[modality].append(vectors)
        log.info("%s: %d of %d shards embedded", encoder.name, number, len(pieces))
    return {modality: torch.cat(parts) for modality, parts in found.items()}


def read_batches(dataset: Dataset, rows: list[dict[str, Any]], size: int) -> Iterator[RawBatch]:
    """Chips as stored, in order; the next batch is read while the last one is in use."""
    with ThreadPoolExecutor(READERS) as pool:

        def begin(start: int) -> list[Any]:
            return [pool.submit(read_chip, dataset.ref.uri, row, dataset.layout) for row in rows[start : start + size]]

        coming = begin(0)
        for start in range(0, len(rows), size):
            planes = [future.result() for future in coming]
            coming = begin(start + size)
            yield _stack(planes, tuple(row["chip"] for row in rows[start : start + size]))


def _of_shard(
    encoder: Encoder,
    dataset: Dataset,
    rows: pa.Table,
    modalities: Sequence[Modality],
    root: str,
    layer: Layer,
    batch: int,
) -> dict[Modality, Tensor]:
    chips = [f"{chip}:{crc}" for chip, crc in zip(rows["chip"].to_pylist(), rows["crc32"].to_pylist(), strict=True)]
    addresses = {m: _address(root, digest([encoder.fingerprint(layer), m, layer, chips])) for m in modalities}
    found = {m: _load(address) for m, address in addresses.items() if storage.exists(address)}
    missing = [modality for modality in modalities if modality not in found]
    if missing:
        made = _compute(encoder, dataset, rows.to_pylist(), missing, layer, batch)
        for modality, vectors in made.items():
            storage.write(addresses[modality], _bytes(vectors))
        found |= made
    return {modality: found[modality] for modality in modalities}


def _compute(
    encoder: Encoder, dataset: Dataset, rows: list[dict[str, Any]], modalities: list[Modality], layer: Layer, batch: int
) -> dict[Modality, Tensor]:
    parts = [encoder.encode(raw, modalities, layer) for raw in read_batches(dataset, rows, batch)]
    return {modality: torch.cat([part[modality] for part in parts]) for modality in modalities}


def _by_shard(rows: pa.Table) -> Iterator[pa.Table]:
    shards = rows["shard"].to_numpy(zero_copy_only=False)
    cuts = [0, *(np.flatnonzero(shards[1:] != shards[:-1]) + 1), len(shards)]
    for start, stop in pairwise(cuts):
        yield rows.slice(start, stop - start)


def _stack(planes: list[dict[str, Any]], ids: tuple[str, ...]) -> RawBatch:
    optical = [optical_by_resolution(chip) for chip in planes]
    return RawBatch(
        radar=torch.from_numpy(np.stack([chip["s1"] for chip in planes])),
        optical={r: torch.from_numpy(np.stack([chip[r] for chip in optical])) for r in optical[0]},
        keys=torch.zeros(len(ids), dtype=torch.int64),
        ids=ids,
    )


def _address(root: str, key: str) -> str:
    return storage.join(root, "embeddings", key[:2], f"{key}.npy")


def _load(address: str) -> Tensor:
    return torch.from_numpy(np.load(io.BytesIO(storage.read(address)), allow_pickle=False))


def _bytes(vectors: Tensor) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, vectors.numpy())
    return buffer.getvalue()
