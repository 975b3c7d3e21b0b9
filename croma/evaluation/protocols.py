"""Which function carries out which protocol. To add one: its document in `spec`, its file, its line here."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from croma.evaluation import (
    change,
    cluster,
    extrapolation,
    finetune,
    finetune_segmentation,
    knn,
    linear,
    mlp,
    retrieval,
    segmentation,
    sparse,
)
from croma.evaluation.bench import Bench, Outcome, measure_probe
from croma.evaluation.encoders import Encoder, Network
from croma.evaluation.problem import Prediction, Problem, with_few
from croma.evaluation.spec import (
    Change,
    Extrapolation,
    FineTune,
    FineTuneSegmentation,
    KMeans,
    Protocol,
    Retrieval,
    Segmentation,
    Sparse,
)
from croma.sensors import Modality

_PROBES: Mapping[str, Callable[[Problem, Any, int], Prediction]] = {
    "knn": knn.predict,
    "linear": linear.predict,
    "mlp": mlp.predict,
    "kmeans": cluster.predict,
}
"""Protocols that say a class of every chip."""
_SEEDED = ("mlp", "kmeans")
"""Those whose answer depends on the seed even with all labels."""


def measure(bench: Bench, encoder: Encoder, modality: Modality, protocol: Protocol) -> Outcome | None:
    """What `protocol` says of an encoder's embeddings of a modality; None where it has nothing to say of it."""
    if modality not in encoder.modalities:
        return None
    match protocol:
        case Sparse():
            return _measure_sparse(bench, encoder, modality, protocol)
        case Retrieval():
            pair = modality != "joint" and {"radar", "optical"} <= set(encoder.modalities)
            return _measure_retrieval(bench, encoder, modality, protocol) if pair else None
        case Segmentation():
            return segmentation.measure(bench, encoder, modality, protocol)
        case Extrapolation():
            return extrapolation.measure(bench, encoder, modality, protocol)
        case Change():
            return change.measure(bench, encoder, modality, protocol)
        case FineTune() | FineTuneSegmentation():
            return _fine_tune(bench, encoder, modality, protocol) if isinstance(encoder, Network) else None
        case _:
            predict = _PROBES[protocol.kind]
            share = 1.0 if isinstance(protocol, KMeans) else protocol.share

            def answer(problem: Problem, seed: int) -> Prediction:
                return predict(with_few(problem, share, seed), protocol, seed)

            seeded = share < 1 or protocol.kind in _SEEDED
            return measure_probe(bench, encoder, modality, answer, seeded)


def _fine_tune(
    bench: Bench, encoder: Network, modality: Modality, protocol: FineTune | FineTuneSegmentation
) -> Outcome:
    if isinstance(protocol, FineTuneSegmentation):
        return finetune_segmentation.measure(bench, encoder, modality, protocol)
    return finetune.measure(bench, encoder, modality, protocol)


def _measure_sparse(bench: Bench, encoder: Encoder, modality: Modality, protocol: Sparse) -> Outcome:
    trial = bench.trial(encoder, modality)
    values = sparse.measure(trial.problem, protocol, bench.block[trial.scored], bench.draws)
    return Outcome(values, len(trial.problem.score.labels), "")


def _measure_retrieval(bench: Bench, encoder: Encoder, modality: Modality, protocol: Retrieval) -> Outcome:
    other: Modality = "optical" if modality == "radar" else "radar"
    pairs, scored = [], np.zeros(0, np.bool_)
    for part, split in bench.parts():
        finite = bench.finite(encoder, part, split, ["radar", "optical"])
        vectors = bench.vectors(encoder, part, split)
        pairs.append(retrieval.Pairs(vectors[modality][finite], vectors[other][finite]))
        scored = finite.numpy()
    fit, select, score = pairs
    found = retrieval.rank(fit, select, score, protocol)
    values = retrieval.measure(found, protocol, bench.block[scored], bench.draws)
    return Outcome(values, len(found.ranks), found.note)
