"""What a person sees of a run in the Prefect UI: artifacts in Markdown and tables."""

import logging
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.futures import PrefectFuture

from croma import storage
from croma.shards import ledger
from croma.shards.dataset import open_dataset
from croma.shards.ref import DatasetRef
from croma.training.spec import TrainResult
from flows.site import Site

if TYPE_CHECKING:
    # Each image has one wing.
    from croma.building.describe import Description
    from croma.building.prepare import Prepared, Survey
    from croma.evaluation.scores import Scorecard
    from croma.recipes.comparison import Compared
    from croma.tracking.tracker import Tracker


T = TypeVar("T")

_TOLD = ("train/loss", "eval/")
"""Beginnings of the metrics that the table of runs has."""

log = logging.getLogger(__name__)

DATASETS = "datasets"
"""The MLflow experiment with a run for each version of each dataset."""


def with_progress(what: str, futures: Sequence[PrefectFuture[T]]) -> Iterator[T]:
    """The results of `futures` in their order; the page of the run shows how many are there."""
    if not futures:
        return
    shown: Any = create_progress_artifact(progress=0.0, description=what)
    for done, future in enumerate(futures, 1):
        yield future.result()
        update_progress_artifact(shown, progress=100.0 * done / len(futures))


def publish_dataset(prepared: "Prepared", ref: DatasetRef, described: "Description") -> None:
    """What was built, what was not and why, what the checks say, and where the report is."""
    name = _key(ref.uri)
    rows = [[part or "all", count] for part, count in _counts(ref)]
    create_markdown_artifact(
        key=f"dataset-{name}",
        description=f"Dataset {_short(ref)}",
        markdown="\n\n".join(
            [f"## {ref}", _markdown(["split", "chips"], rows), _checks(described), _survey(prepared.survey)]
        ),
    )
    create_link_artifact(
        key=f"report-{name}", description=f"Report of {_short(ref)}", link_text=str(ref), link=_link(described.report)
    )
    refused = [
        {"reason": reason, "pairs": count, "when": "cut"} for reason, count in ledger.counts(ref.uri).most_common()
    ]
    refused += [{"reason": r, "pairs": n, "when": "planned"} for r, n in prepared.survey.left_out.items()]
    create_table_artifact(key=f"refused-{name}", description=f"Refused, {_short(ref)}", table=refused)


def log_dataset(ref: DatasetRef, described: "Description", site: Site) -> None:
    """Log the report to MLflow, in the experiment `datasets`, once a version. An image without MLflow only says so."""
    if find_spec("mlflow") is None:
        log.info("%s: MLflow is not installed here; the report is at %s", ref, described.report)
        return
    # A second to import, and only some images have it.
    from croma.tracking.records import read_runs
    from croma.tracking.run import open_run

    tags = {"croma.kind": "dataset", "croma.dataset": str(ref)}
    if read_runs(site.tracker, DATASETS, tags):
        return
    with open_run(site.tracker, DATASETS, str(ref).rstrip("/").rpartition("/")[2], tags=tags) as run:
        run.params({check.name: check.verdict for check in described.checks})
        run.metrics({f"chips/{split}": count for split, count in _counts(ref)}, step=ref.version or 0)
        for name in ("report.html", "README.md", "croissant.json", "collection.json"):
            run.text(name, storage.read(storage.join(described.folder, name)).decode())


def publish_training(result: TrainResult) -> None:
    """What was learnt: steps, losses, where the weights are."""
    losses = sorted(result.trained.losses.items())
    rows = [("steps", str(result.trained.step)), *((name, f"{value:.4f}") for name, value in losses)]
    text = f"## {result.run}\n\nDataset `{result.dataset}`, weights `{result.weights}`\n\n{_markdown(['', ''], rows)}"
    create_markdown_artifact(key=f"training-{_key(result.run)}", description=result.run, markdown=text)


def publish_scores(name: str, scorecard: "Scorecard") -> None:
    """Scores beside the baselines, and the verdict."""
    table = [
        {"score": s.key, "encoder": s.encoder, "value": round(s.value, 3), "low": s.low, "high": s.high, "chips": s.n}
        for s in scorecard.scores
    ]
    create_table_artifact(key=f"scores-{_key(name)}", description=f"Scores, {name}", table=table)
    verdict = scorecard.verdict
    rows = [[c.asked, c.found, "met" if c.met else "**not met**"] for c in verdict.conditions]
    heading = "passed" if verdict.passed else "refused"
    text = f"## {name}: {heading}\n\n{_markdown(['asked', 'found', ''], rows)}"
    create_markdown_artifact(key=f"verdict-{_key(name)}", description=f"Verdict, {name}", markdown=text)


def publish_comparison(compared: "Compared") -> None:
    """Every method within every budget: first metric of each probe, and how far it lies above the reference."""
    table = [
        {
            "budget": entry.budget,
            "method": entry.method,
            "samples": entry.samples,
            "petaflops": float(f"{entry.petaflops:.3g}"),
            "score": score.key,
            "value": round(score.value, 3),
            "low": score.low,
            "high": score.high,
            f"above {compared.reference}": None if (above := entry.margin(score, "champion")) is None else above.value,
        }
        for entry in compared.entries
        for score in entry.headlines
    ]
    create_table_artifact(key=f"comparison-{compared.name}", description=f"Comparison {compared.name}", table=table)


def publish_runs(name: str, tracker: "Tracker", ended: int) -> None:
    """Runs of an experiment with their losses and scores."""
    # Loads MLflow, which a build does not have.
    from croma.tracking.records import read_runs

    table = [
        {"run": run.name, "status": run.status}
        | {key: round(run.metrics[key], 4) for key in sorted(run.metrics) if key.startswith(_TOLD)}
        for run in read_runs(tracker, name)
        if run.tags.get("croma.kind") in ("pretraining", "evaluation")
    ]
    create_table_artifact(key=f"review-{_key(name)}", description=f"Runs of {name}; {ended} ended", table=table)


def _counts(ref: DatasetRef) -> list[tuple[str, int]]:
    splits = open_dataset(ref).rows["split"].value_counts().to_pylist()
    return sorted((row["values"], row["counts"]) for row in splits)


def _checks(described: "Description") -> str:
    return _markdown(
        ["check", "verdict", "found"], [[check.name, check.verdict, check.found] for check in described.checks]
    )


def _link(address: str) -> str:
    """An address that a browser may open."""
    path = storage.local_path(address)
    return address if path is None else path.resolve().as_uri()


def _survey(survey: "Survey") -> str:
    rows: list[list[object]] = [
        ["scenes used", ", ".join(f"{count} {name}" for name, count in survey.scenes.items()) or "none"],
        ["pairs cut in this run", sum(survey.chips.values())],
        ["chips there before", survey.known],
        ["pairs refused before", survey.refused_before],
        *[[f"places left out: {reason}", count] for reason, count in survey.left_out.items()],
        *[[f"scenes not used: {reason}", count] for reason, count in survey.unused_scenes.items()],
    ]
    examples = "\n".join(f"- {reason}: {detail}" for reason, detail in survey.examples.items())
    return f"### This run\n\n{_markdown(['', ''], rows)}\n\n{examples}"


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    return "\n".join([*lines, *("| " + " | ".join(str(value) for value in row) + " |" for row in rows)])


def _short(ref: DatasetRef) -> str:
    """`name@version`: what a card of the overview has room for."""
    return f"{ref.uri.rstrip('/').rpartition('/')[2]}@{ref.version}"


def _key(text: str) -> str:
    """The last part of an address as an artifact key: lower-case letters, digits and dashes."""
    return "".join(c if c.isalnum() else "-" for c in text.rstrip("/").rpartition("/")[2].lower()).strip("-") or "x"
