"""From measurements to scores: every protocol on every encoder and modality, and the margins over the baselines."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from croma.evaluation.bench import Bench, Outcome
from croma.evaluation.bootstrap import estimate
from croma.evaluation.encoders import Encoder
from croma.evaluation.protocols import measure
from croma.evaluation.scores import Baseline, ClassScore, EncoderName, Margin, Score
from croma.sensors import Modality

log = logging.getLogger(__name__)


class Case(NamedTuple):
    """One measurement."""

    encoder: EncoderName
    protocol: str
    modality: Modality


class Measured(NamedTuple):
    """All that was measured on a bench."""

    scores: tuple[Score, ...]
    margins: tuple[Margin, ...]
    by_class: tuple[ClassScore, ...]
    predictions: dict[Case, Tensor]
    """Class scores of the scored chips, (chips, classes), NaN for chips that were left out."""


def measure_all(bench: Bench, encoders: Sequence[Encoder]) -> Measured:
    """Every protocol of the spec on every modality of every encoder; the first encoder is the trained one.

    What it does not see is not measured of the others either, since there would be nothing to compare.
    """
    outcomes: dict[Case, Outcome] = {}
    scaled: dict[EncoderName, str] = {}
    modalities = [modality for modality in bench.spec.modalities if modality in encoders[0].modalities]
    for encoder in encoders:
        for protocol in bench.spec.protocols:
            scaled[encoder.name] = encoder.normalisation
            for modality in modalities:
                outcome = measure(bench, encoder, modality, protocol)
                if outcome is None:
                    continue
                outcomes[Case(encoder.name, protocol.name, modality)] = outcome
                first, value = next(iter(outcome.values.items()))
                log.info("%s %s %s: %s %.3f", encoder.name, protocol.name, modality, first, value[0])
    return Measured(
        scores=tuple(
            score for case, outcome in outcomes.items() for score in _scores(bench, case, outcome, scaled[case.encoder])
        ),
        margins=tuple(_margins(bench, outcomes)),
        by_class=tuple(
            ClassScore(**case._asdict(), label=label, value=value)
            for case, outcome in outcomes.items()
            for label, value in outcome.by_class.items()
        ),
        predictions={case: found.prediction for case, found in outcomes.items() if found.prediction is not None},
    )


def _scores(bench: Bench, case: Case, outcome: Outcome, scaled: str) -> list[Score]:
    found = []
    for metric, values in outcome.values.items():
        value, low, high = estimate(values, bench.blocks, bench.spec.bootstrap.level)
        facts = {
            "value": value,
            "low": low,
            "high": high,
            "n": outcome.n,
            "note": outcome.note,
            "normalisation": scaled,
        }
        found.append(Score.model_validate({**case._asdict(), "metric": metric, **facts}))
    return found


def _margins(bench: Bench, outcomes: dict[Case, Outcome]) -> list[Margin]:
    """Differences draw by draw: both encoders saw the same blocks, so what the ground adds to both cancels."""
    found = []
    for case, outcome in outcomes.items():
        if case.encoder != "trained":
            continue
        for baseline in bench.spec.baselines:
            other = outcomes.get(case._replace(encoder=baseline))
            if other is not None:
                found += [_margin(bench, case, metric, outcome, other, baseline) for metric in outcome.values]
    return found


def _margin(bench: Bench, case: Case, metric: str, ours: Outcome, theirs: Outcome, baseline: Baseline) -> Margin:
    differences = ours.values[metric] - theirs.values[metric]
    value, low, high = estimate(differences, bench.blocks, bench.spec.bootstrap.level)
    return Margin(
        baseline=baseline,
        protocol=case.protocol,
        modality=case.modality,
        metric=metric,
        value=value,
        low=low,
        high=high,
    )
