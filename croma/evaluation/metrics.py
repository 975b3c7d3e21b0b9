"""Metrics of many bootstrap draws at once. Each equals scikit-learn's on the draw written out chip by chip.

Legend: n chips, B blocks, C classes, D draws. `block` is (n,), `draws` is (D, B) as in `croma.evaluation.bootstrap`.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from croma.evaluation.bootstrap import Draws

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Values = Mapping[str, Floats]
"""By metric, (D,)."""

_CHUNK = 1 << 24


def classification(truth: Ints, predicted: Ints, classes: int, block: Ints, draws: Draws) -> Values:
    """top1, macro-f1 and balanced-accuracy of one label a chip; `truth` and `predicted` are (n,)."""
    cells = (block * classes + truth) * classes + predicted
    counted = np.bincount(cells, minlength=draws.shape[1] * classes * classes)
    matrices = (draws @ counted.reshape(draws.shape[1], -1)).reshape(-1, classes, classes)
    return {name: values for name, values in from_confusion(matrices).items() if name != "miou"}


def from_confusion(matrices: Floats) -> dict[str, Floats]:
    """Metrics of confusion matrices (D, C, C), rows true, columns predicted. Classes never seen do not count."""
    hits = np.einsum("dcc->dc", matrices)
    true, said = matrices.sum(2), matrices.sum(1)
    return {
        "top1": _ratio(hits.sum(1), true.sum(1)),
        "macro-f1": np.nanmean(_padded(_ratio(2 * hits, true + said)), axis=1),
        "balanced-accuracy": np.nanmean(_padded(_ratio(hits, true)), axis=1),
        "miou": np.nanmean(_padded(_ratio(hits, true + said - hits)), axis=1),
    }


def multilabel(truth: Bools, scores: Floats, threshold: float, block: Ints, draws: Draws) -> Values:
    """map-micro, map-macro, f1-micro and f1-macro of several labels a chip.

    Args:
        truth: (n, C).
        scores: (n, C), more is likelier.
        threshold: a label is said where its score exceeds it.
        block: (n,).
        draws: (D, B).
    """
    said = scores > threshold
    counts = []
    for cells in (truth & said, truth, said):
        by_block = np.zeros((draws.shape[1], truth.shape[1]))
        np.add.at(by_block, block, cells)
        counts.append(draws @ by_block)
    hits, true, said_count = counts
    by_class = [average_precision(truth[:, c], scores[:, c], block, draws) for c in range(truth.shape[1])]
    everything = np.repeat(block, truth.shape[1])
    return {
        "map-micro": average_precision(truth.ravel(), scores.ravel(), everything, draws),
        "map-macro": np.nanmean(_padded(np.stack(by_class, axis=1)), axis=1),
        "f1-micro": _ratio(2 * hits.sum(1), (true + said_count).sum(1)),
        "f1-macro": np.nanmean(_padded(_ratio(2 * hits, true + said_count)), axis=1),
    }


def average_precision(truth: Bools, scores: Floats, block: Ints, draws: Draws) -> Floats:
    """(D,) sum of precision times the step in recall at every distinct score; NaN where nothing is true."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf) != 0)
    step = max(1, _CHUNK // max(truth.size, 1))
    return np.concatenate(
        [
            _precision_of(draws[start : start + step][:, block[order]], truth[order], ends)
            for start in range(0, len(draws), step)
        ]
    )


def _precision_of(weights: Floats, truth: Bools, ends: Ints) -> Floats:
    hits = np.cumsum(weights * truth, axis=1)[:, ends]
    precision = _ratio(hits, np.cumsum(weights, axis=1)[:, ends])
    steps = np.diff(hits, axis=1, prepend=0.0)
    return _ratio(np.nansum(precision * steps, axis=1), hits[:, -1])


def average(values: Floats, block: Ints, draws: Draws) -> Floats:
    """(D,) mean of a number measured on every chip, (n,)."""
    blocks = draws.shape[1]
    sums, counts = np.bincount(block, values, blocks), np.bincount(block, minlength=blocks)
    return _ratio(draws @ sums, draws @ counts)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """The quotient, NaN where `whole` is 0."""
    quotient: Floats = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return quotient


def _padded(values: Floats) -> Floats:
    """Rows of nothing but NaN get a 0, so that their mean is 0 instead of a warning."""
    return np.where(np.isnan(values).all(axis=1, keepdims=True), 0.0, values)
