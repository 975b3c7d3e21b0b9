"""Which function carries out which protocol. To add one: its document in `spec`, its file, its line here."""

from collections.abc import Callable, Mapping
from typing import Any

from croma.evaluation import knn, linear
from croma.evaluation.bench import Bench, Outcome, measure_probe
from croma.evaluation.encoders import Encoder
from croma.evaluation.problem import Prediction, Problem
from croma.evaluation.scores import Modality
from croma.evaluation.spec import Protocol

_PROBES: Mapping[str, Callable[[Problem, Any, int], Prediction]] = {
    "knn": knn.predict,
    "linear": linear.predict,
}


def measure(bench: Bench, encoder: Encoder, modality: Modality, protocol: Protocol) -> Outcome:
    """What `protocol` says of an encoder's embeddings of a modality."""
    predict = _PROBES[protocol.kind]
    return measure_probe(bench, encoder, modality, lambda problem, seed: predict(problem, protocol, seed))
