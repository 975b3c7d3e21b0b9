"""Labels of chips from the index, and which chips are left out of an evaluation and why."""

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from croma.chip import Split
from croma.errors import InputError
from croma.evaluation.modalities import sensors_of
from croma.evaluation.problem import first_of_each_class
from croma.evaluation.spec import DominantClass, EvalSpec, PresentClasses, Target
from croma.shards.classes import names_of
from croma.shards.dataset import Dataset

UNLABELLED = "unlabelled"
"""The one class of an evaluation that needs no labels."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The chips of a split that take part."""

    rows: pa.Table
    """Rows of the index, ordered by shard and offset."""
    labels: Tensor
    """int64 (n,) class numbers, or bool (n, C) where a chip may have several."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A labelled dataset version, cut for probes."""

    fit: Labelled
    select: Labelled
    score: Labelled
    classes: tuple[str, ...]
    """Names by class number, in the order of the codes; the classes of the fit split."""
    codes: tuple[int, ...]
    exclusions: dict[str, int]
    """Chips left out by `split/reason`."""


def make_task(dataset: Dataset, spec: EvalSpec) -> Task:
    """The chips and labels of an evaluation.

    Raises:
        InputError: labels are needed and the dataset has none, a split has no labelled chip, or the fit split has a
            single class.
    """
    if spec.needs_labels and not dataset.header.labelled:
        raise InputError(
            f"dataset {dataset.ref}: it has no labels; build it with a `labels` layer, evaluate on another dataset, "
            "or ask for `retrieval` alone, which needs none"
        )
    left_out: Counter[str] = Counter()
    parts = [_select(dataset, split, spec, left_out) for split in _splits(spec)]
    codes = sorted({code for wanted in parts[0][1] for code in wanted})
    if spec.needs_labels and len(codes) < 2:
        found = names_of(dataset.header, codes)
        raise InputError(
            f"dataset {dataset.ref}: split {spec.splits.fit} has {len(codes)} class {list(found)}; "
            "a probe needs two: take a larger area, or lower `target.min_share`"
        )
    fit, select, score = (
        _encode(rows, wanted, codes, spec.target, split, left_out, dataset)
        for split, (rows, wanted) in zip(_splits(spec), parts, strict=True)
    )
    names = names_of(dataset.header, codes) if spec.needs_labels else (UNLABELLED,)
    return Task(fit=fit, select=select, score=score, classes=names, codes=tuple(codes), exclusions=dict(left_out))


def few(part: Labelled, share: float, seed: int) -> Tensor:
    """Rows (k,) of a share of every class, at least one chip each; of one seed, smaller shares lie within larger."""
    order = torch.randperm(len(part.labels), generator=torch.Generator().manual_seed(seed))
    return first_of_each_class(part.labels, order, share)


def _splits(spec: EvalSpec) -> tuple[Split, Split, Split]:
    return spec.splits.fit, spec.splits.select, spec.splits.score


def _select(dataset: Dataset, split: Split, spec: EvalSpec, left_out: Counter[str]) -> tuple[pa.Table, list[set[int]]]:
    """Chips of a split that can take part, with the codes each is labelled with."""
    rows = sample(dataset.table(split), spec.chips)
    sensors = sensors_of(spec.embedded)
    names = ("label", "label_shares", *(f"{sensor}_nodata" for sensor in sensors))
    columns = (rows[name].to_pylist() for name in names)
    wanted, kept = [], []
    for label, shares, *nodata in zip(*columns, strict=True):
        reason, codes = "nodata", set[int]()
        if max(nodata) <= spec.max_nodata:
            codes = _codes(label, dict(shares or []), spec)
            reason = "no dominant class" if shares else "no label"
        kept.append(bool(codes))
        if codes:
            wanted.append(codes)
        else:
            left_out[f"{split}/{reason}"] += 1
    return rows.filter(pa.array(kept, pa.bool_())), wanted


def _codes(label: int | None, shares: dict[int, float], spec: EvalSpec) -> set[int]:
    """The codes a chip is labelled with; none where nothing dominates."""
    if not spec.needs_labels:
        return {0}
    if isinstance(spec.target, DominantClass):
        return {label} if label is not None and shares.get(label, 0.0) >= spec.target.min_share else set()
    least = spec.target.min_share if isinstance(spec.target, PresentClasses) else 0.0
    return {code for code, share in shares.items() if share >= least}


def sample(rows: pa.Table, limit: int | None) -> pa.Table:
    """At most `limit` rows, those whose ids hash lowest: the same chips whatever else a version holds."""
    if limit is None or rows.num_rows <= limit:
        return rows
    ranks = hash_ranks(rows)
    return rows.take(sorted(sorted(range(len(ranks)), key=ranks.__getitem__)[:limit]))


def hash_ranks(rows: pa.Table) -> list[int]:
    """A random number for each row that its chip's id determines."""
    return [int.from_bytes(blake2b(chip.encode(), digest_size=7).digest(), "big") for chip in rows["chip"].to_pylist()]


def _encode(
    rows: pa.Table,
    wanted: list[set[int]],
    codes: list[int],
    target: Target,
    split: Split,
    left_out: Counter[str],
    dataset: Dataset,
) -> Labelled:
    """Codes as class numbers; a class that the fit split has not cannot be learnt, so its chips are left out."""
    known = [bool(found & set(codes)) for found in wanted]
    if unknown := known.count(False):
        left_out[f"{split}/class not in the fit split"] += unknown
    number = {code: position for position, code in enumerate(codes)}
    table: Any = np.zeros((sum(known), len(codes)), np.bool_)
    for row, found in enumerate(found for found, is_known in zip(wanted, known, strict=True) if is_known):
        table[row, [number[code] for code in found if code in number]] = True
    if not len(table):
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(left_out.items())) or "it holds no chips"
        raise InputError(f"dataset {dataset.ref}: split {split} has no chip to evaluate on ({reasons})")
    labels = torch.from_numpy(table.argmax(1) if isinstance(target, DominantClass) else table)
    return Labelled(rows=rows.filter(pa.array(known, pa.bool_())), labels=labels)
