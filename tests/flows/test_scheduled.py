"""What runs on a schedule, in Prefect: one after the other, new weights are judged once, the night ends with a page."""

from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Completed, Pending, Running

from croma import storage
from croma.evaluation import suite
from croma.evaluation.gate import Gate
from croma.evaluation.history import read_artifact
from croma.evaluation.spec import Bootstrap, EvalSpec, Knn
from croma.recipes.recipe import Recipe, load_recipe
from croma.shards.dataset import open_dataset
from croma.shards.ref import DatasetRef
from croma.tracking.records import read_runs
from croma.tracking.run import open_run
from croma.tracking.tracker import local_tracker
from croma.training.spec import Trained, TrainResult
from flows import deployments, scheduled
from tests.conftest import REPOSITORY
from tests.evaluation.world import make_dataset, make_weights, three_classes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A site with a labelled dataset, and a recipe that judges in a second."""
    monkeypatch.setenv("CROMA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CROMA_STORAGE", str(tmp_path / "storage"))
    monkeypatch.setattr(suite, "draw_pictures", lambda *_: {})
    make_dataset(str(tmp_path / "storage"), tmp_path, three_classes(12))
    spec = EvalSpec(protocols=(Knn(k=3),), bootstrap=Bootstrap(draws=20, block_km=1.0), gate=Gate(beats=(), on=()))
    demo = load_recipe("demo")
    dataset = demo.dataset.model_copy(update={"name": "tiny"})
    return demo.model_copy(update={"name": "night", "dataset": dataset, "evaluate": spec})


def leave_run(root: Path, name: str, tracking: str) -> None:
    """A run with a copy of its weights at step 2 and its last ones at step 4."""
    ref = open_dataset(DatasetRef(uri=str(root / "datasets" / "tiny"))).ref
    run = root / "runs" / f"{name}-0123456789abcdef"
    for folder, step in (("weights/step-000000002", 2), ("weights", 4)):
        (run / folder).mkdir(parents=True, exist_ok=True)
        make_weights(run / folder / "weights.safetensors", seed=step, step=str(step), run=tracking)
    trained = Trained(step=4, left_out=(), losses={}, seconds=1.0, samples_per_second=1.0, workers=1)
    result = TrainResult(
        run=run.name,
        weights=str(run / "weights/weights.safetensors"),
        dataset=ref,
        chips=12,
        trained=trained,
        code="x",
        tracking=tracking,
    )
    storage.write(str(run / "result.json"), result.to_json())


@pytest.mark.usefixtures("prefect_server")
def test_new_weights_are_judged_once_and_the_night_ends_with_a_page(recipe: Recipe, tmp_path: Path) -> None:
    tracker = local_tracker(tmp_path / "home")
    assert scheduled.review(recipe) == []  # before the first run there is nothing to show, and nothing wrong
    with open_run(tracker, "night", "pretrain", tags={"croma.kind": "pretraining"}) as run:
        run.metrics({"train/loss": 1.5}, 4)
    leave_run(tmp_path / "storage", "night", run.id)
    leave_run(tmp_path / "storage", "night-two", run.id)  # of another experiment, whose name begins alike
    own = tmp_path / "suite.yaml"
    own.write_text("protocols: [{kind: knn, k: 5}]\nreleases: false\n")
    for _ in range(2):
        assert scheduled.evaluate_new(recipe, suite=str(own)) == 2
    judged = read_runs(tracker, "night", {"croma.kind": "evaluation"})
    assert {(run.params["evaluate.protocols"].count("'k': 5"), run.tags["mlflow.parentRunId"]) for run in judged} == {
        (1, run.id),
        (0, run.id),
    }
    assert len(judged) == 2
    # The copy was judged on the way: only the last weights are registered.
    assert [version.run_id for version in tracker.client.search_model_versions("name = 'night'")] == [judged[0].id]

    assert scheduled.review(recipe) == []
    (page,) = read_runs(tracker, "night", {"croma.kind": "review"})
    html = read_artifact(tracker, page.id, "review.html").decode()
    assert "Review" in html
    assert html.count('"step": 2') >= 1
    with get_client(sync_client=True) as client:
        keys = {artifact.key for artifact in client.read_artifacts()}
    assert "review-night" in keys


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(("overlap", "second"), [("refuse", "Cancelled"), ("queue", "AwaitingConcurrencySlot")])
def test_a_server_refuses_or_queues_a_run_that_overlaps(overlap: deployments.Overlap, second: str) -> None:
    planned = {d.full_name: d for d in deployments.plan(REPOSITORY / "prefect.yaml", "demo", overlap)}
    nightly = planned["nightly-increment/nightly"]
    list(deployments.register([nightly]))
    with get_client(sync_client=True) as client:
        known = client.read_deployment_by_name(nightly.full_name)
        first, next_ = (client.create_flow_run_from_deployment(known.id).id for _ in range(2))

        def begin(run: UUID) -> str:
            """What a worker does first; the name of the state in which the server puts the run."""
            state = client.set_flow_run_state(run, Pending()).state
            assert state is not None
            return state.name

        assert [begin(first), begin(next_)] == ["Pending", second]
        for state in (Running(), Completed()):
            client.set_flow_run_state(first, state)
        if overlap == "queue":
            assert begin(next_) == "Pending"
        client.delete_deployment(known.id)
