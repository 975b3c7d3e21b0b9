"""The review of an experiment: everything its runs left in MLflow, as one HTML page that opens from a file.

The page holds its data, pictures, style and script; sorting and filtering work without a server.
"""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from croma.document import digest
from croma.errors import InputError
from croma.evaluation.history import list_artifacts, read_artifact, read_history
from croma.evaluation.publish import TAG
from croma.evaluation.scores import Scorecard
from croma.tracking.records import RunRecord, read_runs
from croma.tracking.run import open_run
from croma.tracking.tracker import Tracker

_CURVES = ("train/", "embeddings/", "speed/samples_per_second", "speed/flops_utilisation")
"""Beginnings of the metrics whose whole history is shown."""
_POINTS = 300
"""Of a curve, at most."""
_SEEDS = ("seed", "seeds")
_NOT_THE_RECIPE = ("resources.", "dataset")
"""Beginnings of parameters that change neither what is learnt nor how."""
_FRAMES = ("review", "recipe")
"""Kinds of runs that hold no experiment."""
_PICTURED = 24
"""Runs with pictures; more would make a page that no browser likes."""

_LOOKS = 5
"""Pictures of a run's training, at most."""

Data = dict[str, Any]


def review(tracker: Tracker, experiment: str, price_per_hour: float | None = None, currency: str = "") -> str:
    """The page of an experiment.

    Args:
        tracker: where it is.
        experiment: its name.
        price_per_hour: of one worker; None leaves costs out.
        currency: of the price.

    Raises:
        InputError: there is no such experiment, or it has no runs.
    """
    return render({**collect(tracker, experiment, price_per_hour), "currency": currency})


def publish_review(tracker: Tracker, experiment: str, page: str) -> str:
    """Store a page as an artifact of a run of its own in the experiment; the id of that run."""
    name = f"review-{datetime.now(UTC):%Y-%m-%d}"
    with open_run(tracker, experiment, name, tags={"croma.kind": "review"}) as run:
        run.text("review.html", page)
    return run.id


def collect(tracker: Tracker, experiment: str, price_per_hour: float | None = None) -> Data:
    """What the page shows. Runs are pretrainings with their evaluations; an evaluation without one stands by itself."""
    records = [run for run in read_runs(tracker, experiment) if run.tags.get("croma.kind") not in _FRAMES]
    if not records:
        raise InputError(f"experiment {experiment}: no runs in {tracker.uri.partition('?')[0]}; check the name")
    evaluations = [run for run in records if TAG in run.tags]
    known = {run.id for run in records if TAG not in run.tags}
    heads = [run for run in records if TAG not in run.tags or run.tags.get("mlflow.parentRunId") not in known]
    runs = []
    for number, head in enumerate(sorted(heads, key=lambda run: run.start)):
        mine = [run for run in evaluations if head.id in (run.id, run.tags.get("mlflow.parentRunId"))]
        runs.append(_run(tracker, head, mine, pictured=number >= len(heads) - _PICTURED, price=price_per_hour))
    return {"experiment": experiment, "made": datetime.now(UTC).isoformat(timespec="seconds"), "runs": runs}


def render(data: Data) -> str:
    """The page that shows `data`."""
    folder = files("croma.evaluation").joinpath("review_page")
    page = folder.joinpath("page.html").read_text()
    style = folder.joinpath("style.css").read_text()
    script = "\n".join(folder.joinpath(name).read_text() for name in ("table.js", "charts.js", "main.js"))
    # Inside a script element only "</" could end it early.
    content = json.dumps(data, allow_nan=False).replace("</", "<\\/")
    return page.replace("/*STYLE*/", style).replace("/*DATA*/", content).replace("/*SCRIPT*/", script)


def _run(
    tracker: Tracker, head: RunRecord, evaluations: Sequence[RunRecord], pictured: bool, price: float | None
) -> Data:
    trained = TAG not in head.tags
    oldest_first = sorted(evaluations, key=lambda run: run.start)
    judged = sorted((_evaluation(tracker, run, pictured) for run in oldest_first), key=lambda each: each["step"])
    seconds = None if head.end is None else (head.end - head.start) / 1000
    workers = _workers(head) if trained else 1
    return {
        "id": head.id,
        "name": head.name,
        "group": _group(head),
        "status": head.status,
        "start": head.start,
        "seconds": seconds,
        "workers": workers,
        "cost": None if price is None or seconds is None else price * workers * seconds / 3600,
        "code": head.tags.get("mlflow.source.git.commit", ""),
        "dataset": head.params.get("dataset") or (judged[-1]["dataset"] if judged else ""),
        "params": head.params,
        "metrics": {key: _finite(value) for key, value in head.metrics.items() if not key.startswith("system/")},
        "curves": {key: _curve(tracker, head.id, key) for key in head.metrics if key.startswith(_CURVES)},
        "evaluations": judged,
        "looks": _looks(tracker, head.id) if trained and pictured else [],
    }


def _evaluation(tracker: Tracker, run: RunRecord, pictured: bool) -> Data:
    if run.status != "FINISHED":
        return {"step": -1, "status": run.status, "dataset": "", "scores": [], "byClass": [], "pictures": {}}
    card = Scorecard.parse(json.loads(read_artifact(tracker, run.id, "scorecard.json")), f"scorecard of {run.name}")
    names = [path for path in list_artifacts(tracker, run.id, "figures") if path.endswith(".png")] if pictured else []
    pictures = {path.rpartition("/")[2].removesuffix(".png"): _embedded(tracker, run.id, path) for path in names}
    content = card.model_dump(mode="json")
    return {
        "step": card.provenance.step,
        "status": run.status,
        "dataset": card.provenance.dataset,
        "chips": card.chips,
        "exclusions": card.exclusions,
        "scores": content["scores"],
        "margins": content["margins"],
        "byClass": content["by_class"],
        "verdict": content["verdict"],
        "pictures": pictures,
    }


def _looks(tracker: Tracker, run_id: str) -> list[Data]:
    """Pictures that training stored as `reconstructions/step-00000100.png`: the first, the last, some between."""
    paths = sorted(list_artifacts(tracker, run_id, "reconstructions"))
    chosen = sorted({round(place * (len(paths) - 1) / (_LOOKS - 1)) for place in range(_LOOKS)}) if paths else []
    return [
        {
            "step": int("".join(filter(str.isdigit, paths[number]))),
            "pictures": {"reconstructions-in-training": _embedded(tracker, run_id, paths[number])},
        }
        for number in chosen
    ]


def _group(run: RunRecord) -> str:
    """Runs that differ by seed alone share it."""
    recipe = {
        key: value
        for key, value in run.params.items()
        if key.rpartition(".")[2] not in _SEEDS and not key.startswith(_NOT_THE_RECIPE)
    }
    return digest(recipe)[:6]


def _workers(run: RunRecord) -> int:
    """The number of workers a run asked for; of a range, the most."""
    digits = "".join(char if char.isdigit() else " " for char in run.params.get("resources.workers", "1")).split()
    return max(map(int, digits), default=1)


def _curve(tracker: Tracker, run_id: str, key: str) -> list[list[float | None]]:
    """[step, value] points; of a long curve every so many-th and the last."""
    points = read_history(tracker, run_id, key)
    stride = -(-len(points) // _POINTS)
    kept = points[::stride] + ([points[-1]] if (len(points) - 1) % max(stride, 1) else []) if points else []
    return [[step, _finite(value)] for step, value in kept]


def _finite(value: float) -> float | None:
    return value if value == value and abs(value) != float("inf") else None


def _embedded(tracker: Tracker, run_id: str, path: str) -> str:
    return f"data:image/png;base64,{base64.b64encode(read_artifact(tracker, run_id, path)).decode()}"
