"""Change detection on pairs of dates: a light head on how far the frozen patch encodings of a place have moved.

Two chips of one place are a pair, the earlier before the later, with the mask of the later; more dates make a chain of
pairs. The head sees, patch by patch, the absolute difference of both encodings, as a segmentation head sees one
encoding. Changes are rare, so beside mIoU, which chooses, the F1 and the IoU of the changed pixels are measured.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
from torch import Tensor

from croma.errors import InputError
from croma.evaluation.bench import Bench, Outcome
from croma.evaluation.embed import embed
from croma.evaluation.encoders import Encoder
from croma.evaluation.labels import Labelled, hash_ranks
from croma.evaluation.maps import Maps, blocks_of, confusion_by_block, label_images, numbered
from croma.evaluation.metrics import Floats
from croma.evaluation.segmentation import at_shares, score_head, train_head
from croma.evaluation.spec import Change, Segmentation
from croma.sensors import Modality
from croma.shards.classes import names_of

CHANGED = 2
"""Code of pixels that changed; 1 is of those that did not."""
CODES = (1, CHANGED)


def measure(bench: Bench, encoder: Encoder, modality: Modality, spec: Change) -> Outcome:
    """miou, pixel-accuracy, macro-f1, change-f1 and change-iou over the labelled pixels of the scored pairs.

    Raises:
        InputError: a split has no pair, or the pairs to learn from have no changed or no unchanged pixel.
    """
    splits = bench.spec.splits
    parts = ((bench.task.fit, splits.fit), (bench.task.select, splits.select), (bench.task.score, splits.score))
    fit, select, score = (_maps(bench, encoder, modality, part, split, spec) for part, split in parts)
    seen = {CODES[number] for number in np.unique(fit.labels.numpy()).tolist() if number >= 0}
    names = names_of(bench.dataset.header, CODES)
    if seen != set(CODES):
        raise InputError(f"dataset {bench.dataset.ref}: the pairs of split {splits.fit} have no pixel of both {names}")
    head = Segmentation(**{name: getattr(spec, name) for name in _HEAD})

    def at(share: float) -> Outcome:
        some = few_pairs(len(fit.labels), share)
        part = Maps(fit.tokens[some], fit.labels[some], fit.block[some])
        trained = train_head(part, select, len(CODES), head, bench.spec.seeds[0])
        found = score_head(bench, trained, score, names)
        counts = confusion_by_block(trained.say(score.tokens), score.labels, len(CODES), score.block, bench.blocks)
        return found._replace(values={**found.values, **of_changed(counts, bench)})

    return at_shares(spec.shares, at)


_HEAD = ("head", "inverse_penalties", "learning_rates", "weight_decay", "epochs", "batch")


def few_pairs(count: int, share: float) -> slice:
    """The first of the pairs, which come in the order of their hashes: one at least, smaller shares within larger."""
    return slice(max(1, round(count * share)))


def of_changed(counts: Floats, bench: Bench) -> Mapping[str, Floats]:
    """F1 and IoU of the changed pixels for every draw of the bench; 0 where a draw has no changed pixel at all."""
    matrices = np.tensordot(bench.draws, counts, axes=1)
    hits, true, said = matrices[:, 1, 1], matrices[:, 1].sum(1), matrices[:, :, 1].sum(1)
    either = np.maximum(true + said, 1)
    return {"change-f1": 2 * hits / either, "change-iou": hits / np.maximum(true + said - hits, 1)}


def pairs_of(rows: pa.Table) -> list[tuple[int, int]]:
    """Rows (earlier, later) of consecutive dates of every place, in the order of the hashes of the later chips.

    Chips whose date nobody knows are in no pair.
    """
    columns = (rows[name].to_pylist() for name in ("epsg", "left", "top", "optical_time", "radar_time"))
    dated: dict[tuple[int, int, int], list[tuple[object, int]]] = {}
    for number, (epsg, left, top, optical, radar) in enumerate(zip(*columns, strict=True)):
        time = optical or radar
        if time is not None:
            dated.setdefault((epsg, left, top), []).append((time, number))
    ranks = hash_ranks(rows)
    found = [(one[1], two[1]) for dates in dated.values() for one, two in pairwise(sorted(dates, key=_first))]
    return sorted(found, key=lambda pair: ranks[pair[1]])


def _first(dated: tuple[object, int]) -> str:
    return str(dated[0])


def _maps(bench: Bench, encoder: Encoder, modality: Modality, part: Labelled, split: str, spec: Change) -> Maps:
    """Differences of encodings (n, patches, d) with the masks of the later chips."""
    pairs = pairs_of(part.rows)
    if alone := part.rows.num_rows - len({number for pair in pairs for number in pair}):
        bench.exclusions[f"{split}/no second date"] = alone
    pairs = pairs[: spec.pairs]
    if not pairs:
        raise InputError(f"dataset {bench.dataset.ref}: split {split} has no place with two dates")
    before, after = (_encoded(bench, encoder, modality, part, [pair[end] for pair in pairs]) for end in (0, 1))
    moved = (after - before).abs()
    finite = moved.isfinite().all(2).all(1)
    if not finite.any():
        raise InputError(f"no finite {modality} patch encoding of {encoder.name} in split {split}")
    rows = part.rows.take([later for _, later in pairs])
    labels = numbered(label_images(bench.dataset, rows, encoder.image_size), CODES)
    block = blocks_of(bench, rows) if part is bench.task.score else np.zeros(len(pairs), np.int64)
    return Maps(moved[finite], labels[finite], block[finite.numpy()])


def _encoded(bench: Bench, encoder: Encoder, modality: Modality, part: Labelled, numbers: Sequence[int]) -> Tensor:
    """Patch encodings of these rows, in this order; embedded in the order of the shards, which is what is kept."""
    order = sorted(set(numbers))
    rows = part.rows.take(order)
    batch = max(1, bench.spec.batch // 4)
    found = embed(encoder, bench.dataset, rows, [modality], bench.root, layer="patches", batch=batch)[modality]
    place = {number: position for position, number in enumerate(order)}
    return found[[place[number] for number in numbers]]
