import contextlib
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from croma.cli.commands import app
from croma.errors import InputError
from croma.evaluation import suite
from croma.evaluation.gate import Gate
from croma.evaluation.history import read_artifact
from croma.evaluation.review import collect, publish_review, render, review
from croma.evaluation.spec import Bootstrap, EvalSpec, Knn, Linear
from croma.shards.ref import DatasetRef
from croma.tracking.records import read_runs
from croma.tracking.run import open_run
from croma.tracking.tracker import Tracker, local_tracker
from tests.evaluation.browser import Browser, open_page
from tests.evaluation.world import LOOKS, SPLITS, labelled_chip, make_dataset, make_weights

pytestmark = pytest.mark.slow

SPEC = EvalSpec(
    protocols=(Knn(k=3), Linear(inverse_penalties=(0.1,))),
    bootstrap=Bootstrap(draws=40, block_km=1.0),
    gate=Gate(floors={"knn/radar/top1": 0.9}, beats=()),
    gallery=3,
)
SETTINGS = {"croma": 1.0, "contrast-only": 0.5, "low-rate": 0.1}


class Experiment(NamedTuple):
    tracker: Tracker
    name: str


def lose_a_run(tracker: Tracker) -> None:
    with contextlib.suppress(OSError), open_run(tracker, "nightly", "lost", tags={"croma.kind": "pretraining"}) as run:
        run.params({"schedule": {"lr": 9.0}, "seed": 0})
        raise OSError


def make_doubtful(folder: Path) -> DatasetRef:
    """Chips that are up to half of another class, so that runs differ in their scores."""
    codes = list(LOOKS)
    return make_dataset(
        str(folder),
        folder,
        {
            split: [labelled_chip(1000 * s + n, codes[n % 3], dominance=0.5 + 0.05 * (n % 5)) for n in range(30)]
            for s, split in enumerate(SPLITS)
        },
    )


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Three settings with two seeds each, judged; a run that failed; an evaluation of weights from elsewhere."""
    folder = tmp_path_factory.mktemp("experiment")
    tracker, ref = local_tracker(folder), make_doubtful(folder)
    for number, (setting, rate) in enumerate(SETTINGS.items()):
        for seed in (0, 1):
            with open_run(tracker, "nightly", f"{setting}-{seed}", tags={"croma.kind": "pretraining"}) as run:
                run.params({"objective": {"kind": setting}, "schedule": {"lr": rate}, "seed": seed, "steps": 50})
                run.params({"resources": {"workers": 2}, "dataset": str(ref)})
                for step in range(1, 51):
                    loss = 3 * math.exp(-rate * step / 20) + 0.1 * seed
                    run.metrics({"train/loss": loss, "speed/samples_per_second": 100.0 + seed}, step)
                for step in range(5, 51, 5):
                    run.figure(f"reconstructions/step-{step:08d}.png", Figure(figsize=(1, 1)))
            weights = make_weights(folder / f"{number}-{seed}.safetensors", 10 * number + seed, run=run.id, step="50")
            suite.evaluate(SPEC, str(weights), ref, str(folder), name="nightly", tracker=tracker)
    lose_a_run(tracker)
    other = make_weights(folder / "other.safetensors", 99)
    suite.evaluate(SPEC, str(other), ref, str(folder), name="nightly", tracker=tracker)
    return Experiment(tracker, "nightly")


def test_runs_come_with_their_evaluations_curves_and_groups(experiment: Experiment) -> None:
    data = collect(*experiment, price_per_hour=3.0)
    assert [run["name"] for run in data["runs"]][:2] == ["croma-0", "croma-1"]
    assert len(data["runs"]) == 8
    by_name = {run["name"]: run for run in data["runs"]}
    first, second, other = by_name["croma-0"], by_name["croma-1"], by_name["low-rate-0"]
    assert first["group"] == second["group"] != other["group"]
    assert len(first["curves"]["train/loss"]) == 50
    (judged,) = first["evaluations"]
    assert judged["step"] == 50
    assert {"pairs", "scores", "embedding-map", "confusion-knn"} <= set(judged["pictures"])
    assert {"neighbours-of-radar", "neighbours-of-optical", "mistakes", "attention"} <= set(judged["pictures"])
    assert [look["step"] for look in first["looks"]] == [5, 15, 25, 40, 50]
    assert first["cost"] == pytest.approx(2 * 3.0 * first["seconds"] / 3600)
    assert by_name["lost"]["status"] == "FAILED"
    assert by_name["lost"]["evaluations"] == []
    (alone,) = [run for run in data["runs"] if run["name"].startswith("evaluate-")]
    assert len(alone["evaluations"]) == 1


def test_a_page_is_logged_as_an_artifact_and_leaves_out_itself(experiment: Experiment) -> None:
    page = review(*experiment)
    run = publish_review(*experiment, page)
    assert read_artifact(experiment.tracker, run, "review.html").decode() == page
    assert len(collect(*experiment)["runs"]) == 8
    assert len(read_runs(experiment.tracker, "nightly", {"croma.kind": "review"})) == 1


def test_the_command_writes_the_page_and_keeps_it(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROMA_HOME", experiment.tracker.uri.removeprefix("sqlite:///").removesuffix("/mlflow.db"))
    monkeypatch.setenv("CROMA_PRICES", '{"worker_hour": 2.5, "currency": "CHF"}')
    file = tmp_path / "pages" / "mine.html"
    before = len(read_runs(experiment.tracker, "nightly", {"croma.kind": "review"}))
    said = CliRunner().invoke(app, ["review", "nightly", "--to", str(file)])
    assert said.exit_code == 0, said.output
    assert '"currency": "CHF"' in file.read_text()
    kept = read_runs(experiment.tracker, "nightly", {"croma.kind": "review"})
    assert len(kept) == before + 1
    assert read_artifact(experiment.tracker, kept[0].id, "review.html").decode() == file.read_text()
    unknown = CliRunner().invoke(app, ["review", "nowhere", "--to", str(tmp_path / "none.html")])
    assert isinstance(unknown.exception, InputError)
    assert not (tmp_path / "none.html").exists()


@pytest.fixture(scope="module")
def browser(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("browser")
    (folder / "review.html").write_text(review(*experiment, price_per_hour=3.0, currency="EUR"))
    with open_page(folder / "review.html", folder / "profile") as browser:
        yield browser


def names(browser: Browser) -> list[str]:
    return browser.run("[...document.querySelectorAll('#runs tbody tr')].map(row => row.dataset.run)")


def set_value(browser: Browser, control: str, value: str) -> None:
    browser.run(
        f"{{const c = document.getElementById('{control}'); c.value = {json.dumps(value)}; "
        "c.dispatchEvent(new Event('input', {bubbles: true}))}"
    )


def click(browser: Browser, column: str) -> None:
    browser.run(f"[...document.querySelectorAll('#runs th')].find(cell => cell.textContent === '{column}').click()")


def keep_picture(browser: Browser, name: str, first: str = "html", last: str = "#scores") -> None:
    """For the docs, where CROMA_PICTURES names a folder."""
    if folder := os.environ.get("CROMA_PICTURES"):
        browser.picture(Path(folder) / f"review-{name}.png", first, last)


def test_in_a_browser_it_sorts_filters_and_compares(browser: Browser, tmp_path: Path) -> None:
    assert browser.run("document.title") == "Review of nightly"
    assert "cost, EUR" in browser.run("document.querySelector('#runs thead').textContent")
    assert "dataset tiny@1" in browser.run("document.getElementById('summary').textContent")
    assert len(names(browser)) == 8
    click(browser, "loss")
    ascending = names(browser)
    assert ascending[0] == "croma-0"
    keep_picture(browser, "overview")
    assert set(ascending[-2:]) == {"lost", next(name for name in ascending if name.startswith("evaluate-"))}
    click(browser, "loss")
    assert names(browser)[0] == "low-rate-1"
    assert browser.run("document.querySelector('#runs td.best') !== null")

    heads = "document.querySelectorAll('#runs th')"
    best = f"[...document.querySelectorAll('#runs td.best')].map(cell => {heads}[cell.cellIndex].textContent)"
    assert "loss" not in browser.run(best), "three objectives"
    set_value(browser, "filter", "contrast-only")
    assert set(names(browser)) == {"contrast-only-0", "contrast-only-1"}
    assert "loss" in browser.run(best)
    set_value(browser, "filter", "lr>0.2 seed=1")
    assert set(names(browser)) == {"croma-1", "contrast-only-1"}
    assert browser.run("document.querySelectorAll('#scores [data-run]').length") == 2 * 3
    keep_picture(browser, "filtered")
    set_value(browser, "filter", "")
    browser.run("document.getElementById('finished').click()")
    assert "lost" not in names(browser)

    assert browser.run("document.querySelectorAll('#curves .chart').length") >= 2
    pictures = browser.run("document.querySelectorAll('#pictures img').length")
    assert pictures == 7
    browser.run("document.querySelector('#runs tbody tr[data-run=\"croma-0\"]').click()")
    assert browser.run("document.querySelectorAll('#pictures img').length") == pictures - 1
    set_value(browser, "picture", "reconstructions-in-training")
    set_value(browser, "step", "all")
    assert browser.run("document.querySelectorAll('#pictures img').length") == 5 * 5
    set_value(browser, "step", "15")
    assert browser.run("document.querySelectorAll('#pictures img').length") == 5
    set_value(browser, "picture", "embedding-map")
    loaded = "[...document.querySelectorAll('#pictures img')].every(image => image.src.startsWith('data:image/png'))"
    assert browser.run(loaded)

    set_value(browser, "protocol", "linear")
    set_value(browser, "metric", "macro-f1")
    assert "macro-f1" in browser.run("document.querySelector('#runs thead').textContent")
    stars = browser.run("[...document.querySelectorAll('#scores svg text')].filter(t => t.textContent === '★').length")
    assert stars >= 3
    assert browser.run("document.querySelectorAll('#classes tbody tr').length") == 6
    assert "at least 0.9" in browser.run("document.querySelector('#verdicts').textContent")
    browser.run("document.querySelector('#runs tbody tr[data-run=\"croma-0\"]').click()")
    keep_picture(browser, "gallery", "section:has(#pictures)", "section:has(#pictures)")


def test_it_needs_nothing_from_outside(experiment: Experiment) -> None:
    page = review(*experiment)
    assert re.findall(r"""(?:src|href)=["']?(?!data:)[^"'\s>]*://""", page) == []
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg", "", page.partition("const DATA")[0])


def test_content_cannot_break_out_of_the_page() -> None:
    run = {
        "name": "</script><script>alert(1)</script>",
        "params": {},
        "evaluations": [],
        "looks": [],
        "curves": {},
        "metrics": {},
    }
    page = render({"experiment": "x", "made": "", "runs": [run]})
    assert "</script><script>alert" not in page
    assert page.count("</script>") == 1


def test_an_experiment_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="experiment nowhere: no runs"):
        collect(local_tracker(tmp_path), "nowhere")
