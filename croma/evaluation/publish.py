"""An evaluation in MLflow: a run beside its training run, scores, pictures, the model, and its place in the registry.

Everything is found again by the evaluation's id, so that publishing twice, or after a crash, logs nothing twice.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from croma import storage
from croma.evaluation.job import Evaluation
from croma.evaluation.packing import log_model
from croma.evaluation.registry import CHAMPION, register, set_alias
from croma.evaluation.scores import Scorecard
from croma.tracking.records import read_runs
from croma.tracking.run import DESCRIPTION, Run, open_run
from croma.tracking.tracker import Tracker

TAG = "croma.evaluation"
"""Tag of a run that holds an evaluation: its id."""


def publish(evaluation: Evaluation, card: Scorecard, name: str, tracker: Tracker, *, registers: bool) -> None:
    """Log `card` in the experiment `name`; where it `registers`, register the model under `name` when it passed."""
    known = read_runs(tracker, name, {TAG: evaluation.id})
    if known and known[0].status == "FINISHED":
        return
    parent = evaluation.source.card.provenance.get("run")
    tags = {TAG: evaluation.id, "croma.kind": "evaluation", "croma.passed": str(card.verdict.passed).lower()}
    tags[DESCRIPTION] = _description(card)
    title = f"evaluate-{evaluation.source.fingerprint[:8]}-step{evaluation.source.step}"
    run_id = known[0].id if known else None
    with open_run(tracker, name, title, tags=tags, parent=parent, run_id=run_id) as run:
        _log_inputs(run, evaluation, card)
        # What is served scales pixels by the constants in the weights.
        releases = evaluation.spec.releases and evaluation.spec.normalisation == "own"
        model = log_model(run, evaluation.source, _metadata(evaluation, card)) if releases else None
        _log_scores(run, card, model)
        _log_pictures(run, evaluation)
        if registers and model is not None and card.verdict.passed:
            version = register(tracker, name, model, run.id, _metadata(evaluation, card))
            set_alias(tracker, name, CHAMPION, version)


def _description(card: Scorecard) -> str:
    """Markdown: what was judged on what, and how every condition of the gate came out."""
    asked = [f"- {each.asked}: {each.found}{'' if each.met else ', **not met**'}" for each in card.verdict.conditions]
    said = "passed" if card.verdict.passed else "refused"
    about = f"Weights of step {card.provenance.step} on `{card.provenance.dataset}`: **{said}**"
    return "\n".join([about, "", *asked])


def _log_inputs(run: Run, evaluation: Evaluation, card: Scorecard) -> None:
    ref = evaluation.dataset.ref
    run.params({"evaluate": evaluation.spec.model_dump(mode="json"), "weights": card.provenance.weights})
    run.dataset(evaluation.dataset.header.name, ref.uri, ref.version or 0, "evaluation", {"chips": card.chips})


def _log_scores(run: Run, card: Scorecard, model: str | None) -> None:
    """Trained scores as `eval/…`, also on the model; `baseline/<encoder>/…` and `margin/<baseline>/…` beside them."""
    step = card.provenance.step
    trained = [score for score in card.scores if score.encoder == "trained"]
    run.metrics({f"eval/{score.key}": score.value for score in trained}, step, model)
    others = [score for score in card.scores if score.encoder != "trained"]
    run.metrics({f"baseline/{score.encoder}/{score.key}": score.value for score in others}, step)
    run.metrics({f"margin/{margin.baseline}/{margin.key}": margin.value for margin in card.margins}, step)
    columns = ("encoder", "protocol", "modality", "metric", "value", "low", "high", "n", "normalisation", "note")
    run.table("scores.json", {column: [getattr(score, column) for score in card.scores] for column in columns})
    run.text("scorecard.json", card.to_json().decode())


def _log_pictures(run: Run, evaluation: Evaluation) -> None:
    with TemporaryDirectory() as folder:
        for picture in storage.list_names(evaluation.address("figures")):
            local = Path(folder) / picture
            storage.download(evaluation.address("figures", picture), local)
            run.file(local, "figures")


def _metadata(evaluation: Evaluation, card: Scorecard) -> dict[str, str]:
    """What a reader of the model or of the registry needs to know of it."""
    return {
        "weights": card.provenance.weights,
        "step": str(card.provenance.step),
        "dataset": card.provenance.dataset,
        "evaluation": evaluation.id,
        "code": card.provenance.code,
        "licence": evaluation.spec.licence,
        "sources": ", ".join(evaluation.dataset.header.sources),
    }
