"""Which function carries out which protocol. To add one: its document in `spec`, its file, its line here."""

from collections.abc import Callable, Mapping
from typing import Any

from croma.evaluation import cluster, knn, linear, mlp, sparse
from croma.evaluation.bench import Bench, Outcome, measure_probe
from croma.evaluation.encoders import Encoder
from croma.evaluation.problem import Prediction, Problem
from croma.evaluation.scores import Modality
from croma.evaluation.spec import Protocol, Sparse

_PROBES: Mapping[str, Callable[[Problem, Any, int], Prediction]] = {
    "knn": knn.predict,
    "linear": linear.predict,
    "mlp": mlp.predict,
    "kmeans": cluster.predict,
}
"""Protocols that say a class of every chip."""


def measure(bench: Bench, encoder: Encoder, modality: Modality, protocol: Protocol) -> Outcome:
    """What `protocol` says of an encoder's embeddings of a modality."""
    if isinstance(protocol, Sparse):
        return _measure_sparse(bench, encoder, modality, protocol)
    predict = _PROBES[protocol.kind]
    return measure_probe(bench, encoder, modality, lambda problem, seed: predict(problem, protocol, seed))


def _measure_sparse(bench: Bench, encoder: Encoder, modality: Modality, protocol: Sparse) -> Outcome:
    trial = bench.trial(encoder, modality)
    values = sparse.measure(trial.problem, protocol, bench.block[trial.scored], bench.draws)
    return Outcome(values, len(trial.problem.score.labels), "")
