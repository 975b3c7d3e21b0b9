"""An evaluation from beginning to end: embed, probe, draw, judge, log, register. Called again, it goes on."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from croma import storage
from croma.errors import InputError
from croma.evaluation.bench import Bench
from croma.evaluation.encoders import BandStatistics, Encoder, Network, untrained
from croma.evaluation.gate import judge
from croma.evaluation.job import Evaluation
from croma.evaluation.labels import make_task
from croma.evaluation.pictures import draw_pictures
from croma.evaluation.scores import Baseline, EncoderName, Provenance, Scorecard
from croma.evaluation.scoring import Measured, measure_all
from croma.evaluation.sources import Source, open_weights
from croma.evaluation.spec import EvalSpec
from croma.evaluation.suited import constants_for, scaling_for, suited
from croma.logs import about
from croma.provenance import code_version
from croma.shards.dataset import open_dataset
from croma.shards.ref import DatasetRef

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from croma.tracking.tracker import Tracker

log = logging.getLogger(__name__)


def evaluate(
    spec: EvalSpec,
    weights: str,
    dataset: DatasetRef,
    root: str,
    *,
    name: str,
    tracker: "Tracker | None" = None,
    rival: str | None = None,
) -> Scorecard:
    """Judge weights on a labelled dataset version.

    Embeddings, the scorecard and the pictures are kept below `root`; what is there is not made again.

    Args:
        spec: the recipe.
        weights: address of the weights.
        dataset: the version to judge on.
        root: of storage.
        name: of the experiment in the tracker, and of the registered model.
        tracker: where to log; None logs nothing and registers nothing.
        rival: weights in the champion's stead, for a comparison in which nothing is registered.

    Raises:
        InputError: weights or dataset are missing or do not suit, or the dataset has too few labels.
    """
    opened = open_weights(weights, spec.normalisation, spec.batch)
    with about(dataset=str(dataset)), opened as source, _champion(spec, source, name, tracker, rival) as champion:
        evaluation = Evaluation(spec=spec, source=source, dataset=open_dataset(dataset), root=root, champion=champion)
        card = _read_card(evaluation) or _measure(evaluation)
        if tracker is not None:
            # MLflow takes a second to import, and judging does not need it.
            from croma.evaluation.publish import publish

            publish(evaluation, card, name, tracker, registers=rival is None)
        return card


@contextmanager
def _champion(
    spec: EvalSpec, source: Source, name: str, tracker: "Tracker | None", rival: str | None
) -> Iterator[Source | None]:
    """The model to compare with, if the recipe asks for it, there is one, and it is not this very one."""
    if "champion" in spec.baselines and rival is not None:
        with open_weights(rival) as other:
            yield None if other.fingerprint == source.fingerprint else other
        return
    if "champion" not in spec.baselines or tracker is None:
        yield None
        return
    from croma.evaluation.registry import champion_weights

    with champion_weights(tracker, name) as file:
        if file is None:
            yield None
            return
        with open_weights(str(file)) as champion:
            yield None if champion.fingerprint == source.fingerprint else champion


def _read_card(evaluation: Evaluation) -> Scorecard | None:
    address = evaluation.address("scorecard.json")
    if not storage.exists(address):
        return None
    log.info("%s: judged already", address)
    return Scorecard.parse(json.loads(storage.read(address)), address)


def _measure(evaluation: Evaluation) -> Scorecard:
    """Measure, draw, judge; the scorecard is written last, so its presence says that the pictures are there."""
    dataset = evaluation.dataset
    spec, missing = suited(evaluation.spec, dataset)
    bench = Bench(dataset=dataset, task=make_task(dataset, spec), spec=spec, root=evaluation.root)
    bench.exclusions.update(missing)
    encoders = make_encoders(evaluation)
    measured = measure_all(bench, encoders)
    if not measured.scores:
        asked = ", ".join(protocol.name for protocol in spec.protocols)
        raise InputError(
            f"{asked} has nothing to say of {', '.join(spec.modalities)}: ask for another protocol as well"
        )
    for path, figure in draw_pictures(bench, evaluation.source, encoders, measured).items():
        storage.write(evaluation.address("figures", path), _png(figure))
    card = _scorecard(evaluation, bench, measured)
    storage.write(evaluation.address("scorecard.json"), card.to_json())
    return card


def make_encoders(evaluation: Evaluation) -> list[Encoder]:
    """The trained encoder, then the baselines of the recipe that there are."""
    spec, source, champion = evaluation.spec, evaluation.source, evaluation.champion
    constants = constants_for(evaluation.dataset, source.constants)
    image = spec.image or min(source.model.spec.size)

    def network(name: EncoderName, of: Source) -> Network:
        scaling = scaling_for(evaluation.dataset, of.scaling)
        return Network(name, of.model, scaling, of.fingerprint, spec.precision, None, image, spec.pooling)

    scaling = scaling_for(evaluation.dataset, source.scaling)
    made: dict[Baseline, Encoder] = {
        "untrained": untrained(source.model.spec, scaling, spec.precision, None, image, spec.pooling),
        "band-statistics": BandStatistics(constants, image, source.model.spec.patch),
    }
    if champion is not None:
        made["champion"] = network("champion", champion)
    trained = network("trained", source)
    return [trained, *(made[baseline] for baseline in spec.baselines if baseline in made)]


def _scorecard(evaluation: Evaluation, bench: Bench, measured: Measured) -> Scorecard:
    task, names, source = bench.task, evaluation.spec.splits, evaluation.source
    parts = ((names.fit, task.fit), (names.select, task.select), (names.score, task.score))
    return Scorecard(
        provenance=Provenance(
            weights=source.fingerprint,
            step=source.step,
            dataset=str(evaluation.dataset.ref),
            evaluation=evaluation.spec.fingerprint,
            normalisation=constants_for(evaluation.dataset, source.constants),
            code=code_version(),
        ),
        classes=task.classes,
        chips={split: part.rows.num_rows for split, part in parts},
        exclusions={**task.exclusions, **bench.exclusions},
        scores=measured.scores,
        margins=measured.margins,
        by_class=measured.by_class,
        verdict=judge(evaluation.spec.gate, measured.scores, measured.margins),
    )


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
