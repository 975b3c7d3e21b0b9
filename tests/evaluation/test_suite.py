import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from croma import storage
from croma.errors import InputError
from croma.evaluation import embed, publish, suite
from croma.evaluation.gate import Gate
from croma.evaluation.history import read_artifact
from croma.evaluation.registry import read_alias
from croma.evaluation.scores import Scorecard
from croma.evaluation.spec import Bootstrap, EvalSpec, Knn, Linear
from croma.shards.ref import DatasetRef
from croma.tracking.records import read_runs
from croma.tracking.run import open_run
from croma.tracking.tracker import Tracker
from tests.evaluation.world import labelled_chip, make_dataset, make_weights, three_classes

pytestmark = pytest.mark.slow

QUICK = EvalSpec(
    protocols=(Knn(k=5), Linear(inverse_penalties=(0.1, 10.0))),
    bootstrap=Bootstrap(draws=50, block_km=1.0),
    gate=Gate(floors={"knn/joint/top1": 0.5}, beats=(), on=()),
    gallery=3,
)


class Evaluated(NamedTuple):
    root: Path
    card: Scorecard


@pytest.fixture(scope="module")
def evaluated(tiny_ref: DatasetRef, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    root = tmp_path_factory.mktemp("evaluated")
    return Evaluated(root, suite.evaluate(QUICK, str(weights), tiny_ref, str(root), name="demo"))


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time and are looked at in a test of their own."""
    monkeypatch.setattr(suite, "draw_pictures", lambda *_: {})


def test_every_encoder_is_scored_on_every_modality_by_every_protocol(
    evaluated: Evaluated, tiny_ref: DatasetRef
) -> None:
    card = evaluated.card
    cases = {(score.encoder, score.protocol, score.modality) for score in card.scores}
    assert len(cases) == 3 * 2 * 3
    assert card.classes == ("tree cover", "cropland", "water")
    assert card.chips == {"train": 30, "val": 30, "test": 30}
    assert card.exclusions == {}
    assert card.provenance.step == 7
    assert card.provenance.dataset == str(tiny_ref)
    for score in card.scores:
        assert score.low is not None
        assert score.high is not None
        assert 0 <= score.low <= score.value <= score.high <= 1
    told = {score.label: score.value for score in card.by_class if score.encoder == "band-statistics"}
    assert set(told) == set(card.classes)
    best = card.find("linear/joint/top1", "band-statistics")
    assert best is not None
    assert best.value >= 0.95
    assert {(margin.baseline, margin.key) for margin in card.margins} >= {("untrained", "knn/radar/macro-f1")}


def test_a_second_call_reads_what_the_first_wrote(
    evaluated: Evaluated, tiny_ref: DatasetRef, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "make_task", None)
    assert suite.evaluate(QUICK, str(weights), tiny_ref, str(evaluated.root), name="demo") == evaluated.card


@pytest.mark.usefixtures("no_pictures")
def test_other_weights_are_another_evaluation(evaluated: Evaluated, tiny_ref: DatasetRef, tmp_path: Path) -> None:
    others = make_weights(tmp_path / "other.safetensors", 2)
    card = suite.evaluate(QUICK, str(others), tiny_ref, str(evaluated.root), name="demo")
    assert card.provenance.weights != evaluated.card.provenance.weights
    key = "knn/joint/top1"
    assert card.find(key, "untrained") == evaluated.card.find(key, "untrained")


@pytest.mark.usefixtures("no_pictures")
def test_an_interrupted_evaluation_goes_on_from_its_embeddings(
    evaluated: Evaluated, tiny_ref: DatasetRef, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, shards = embed._compute, []

    def compute(*args: object) -> object:
        if len(shards) == 4:
            raise KeyboardInterrupt
        shards.append(args)
        return real(*args)  # type: ignore[arg-type]

    root = str(tmp_path / "cut")
    monkeypatch.setattr(embed, "_compute", compute)
    with pytest.raises(KeyboardInterrupt):
        suite.evaluate(QUICK, str(weights), tiny_ref, root, name="demo")
    monkeypatch.setattr(embed, "_compute", lambda *args: shards.append(args) or real(*args))
    again = suite.evaluate(QUICK, str(weights), tiny_ref, root, name="demo")
    assert again == evaluated.card
    assert len(shards) == 3 * 6  # encoders × shards of all splits: none was embedded twice


def test_everything_is_logged_once_and_the_model_registered(
    tiny_ref: DatasetRef, tmp_path: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_run(tracker, "whole", "train") as training:
        pass
    address = str(make_weights(tmp_path / "weights.safetensors", run=training.id))

    def evaluate() -> None:
        suite.evaluate(QUICK, address, tiny_ref, str(tmp_path), name="whole", tracker=tracker)

    monkeypatch.setattr(publish, "_log_pictures", _fail)
    with pytest.raises(OSError, match="disk"):
        evaluate()
    (cut,) = read_runs(tracker, "whole", {"croma.kind": "evaluation"})
    assert cut.status == "FAILED"
    assert read_alias(tracker, "whole", "champion") is None
    monkeypatch.undo()
    evaluate()
    evaluate()

    (run,) = read_runs(tracker, "whole", {"croma.kind": "evaluation"})
    assert (run.id, run.status) == (cut.id, "FINISHED")
    assert run.tags["mlflow.parentRunId"] == training.id
    assert f"step 7 on `{tiny_ref}`: **passed**" in run.tags["mlflow.note.content"]
    assert 0.5 <= run.metrics["eval/knn/joint/top1"] <= 1
    assert "baseline/untrained/linear/radar/macro-f1" in run.metrics
    assert "margin/band-statistics/linear/joint/top1" in run.metrics
    for key in run.metrics:
        assert len(tracker.client.get_metric_history(run.id, key)) == 1
    assert run.params["evaluate.bootstrap.draws"] == "50"
    assert json.loads(read_artifact(tracker, run.id, "scorecard.json"))["classes"] == [
        "tree cover",
        "cropland",
        "water",
    ]
    for picture in ("pairs", "scores", "embedding-map", "confusion-knn"):
        assert read_artifact(tracker, run.id, f"figures/{picture}.png").startswith(b"\x89PNG")
    champion = read_alias(tracker, "whole", "champion")
    assert champion is not None
    assert (champion.version, champion.run_id) == (1, run.id)
    assert champion.tags["dataset"] == str(tiny_ref)
    assert champion.tags["licence"] == "Apache-2.0"


def _fail(*_: object) -> None:
    raise OSError("disk full")


@pytest.mark.usefixtures("no_pictures")
def test_a_model_that_fails_its_gate_is_logged_but_not_registered(
    tiny_ref: DatasetRef, weights: Path, tmp_path: Path, tracker: Tracker
) -> None:
    strict = QUICK.model_copy(
        update={"gate": Gate(floors={"knn/joint/top1": 1.0}, beats=("untrained",), by="interval")}
    )
    card = suite.evaluate(strict, str(weights), tiny_ref, str(tmp_path), name="strict", tracker=tracker)
    assert not card.verdict.passed
    (run,) = read_runs(tracker, "strict")
    assert run.tags["croma.passed"] == "false"
    assert read_alias(tracker, "strict", "champion") is None


def test_pictures_are_kept_beside_the_scorecard(evaluated: Evaluated) -> None:
    (figures,) = (evaluated.root / "evaluations").glob("*/figures")
    assert sorted(path.name for path in figures.iterdir()) == [
        "attention.png",
        "confusion-knn.png",
        "confusion-linear.png",
        "embedding-map.png",
        "mistakes.png",
        "neighbours-of-optical.png",
        "neighbours-of-radar.png",
        "pairs.png",
        "scores.png",
    ]


@pytest.mark.usefixtures("no_pictures")
def test_on_object_storage(weights: Path, tmp_path: Path, s3_root: str) -> None:
    ref = make_dataset(s3_root, tmp_path, three_classes(9))
    remote = storage.join(s3_root, "weights.safetensors")
    storage.upload(weights, remote)
    spec = QUICK.model_copy(update={"modalities": ("radar",), "protocols": (Knn(k=3),), "gate": Gate(beats=(), on=())})
    card = suite.evaluate(spec, remote, ref, s3_root, name="demo")
    assert card.find("knn/radar/top1", "band-statistics") is not None
    assert storage.list_names(storage.join(s3_root, "evaluations")) != []


@pytest.mark.usefixtures("no_pictures")
def test_chips_without_a_measurement_are_left_out_and_counted(weights: Path, tmp_path: Path) -> None:
    chips = three_classes(12)
    chips["test"] += [
        labelled_chip(7001, 10, dominance=0.4),
        labelled_chip(7002, 10, nodata=0.9),
        labelled_chip(7003, 40, dominance=0.55),
    ]
    spec = QUICK.model_copy(update={"target": QUICK.target.model_copy(update={"min_share": 0.7})})
    card = suite.evaluate(spec, str(weights), make_dataset(str(tmp_path), tmp_path, chips), str(tmp_path), name="demo")
    assert card.exclusions == {"test/no dominant class": 2, "test/nodata": 1}
    assert card.chips["test"] == 12


def test_missing_weights_and_datasets_are_refused(tiny_ref: DatasetRef, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        suite.evaluate(QUICK, str(tmp_path / "nowhere.safetensors"), tiny_ref, str(tmp_path), name="demo")
    with pytest.raises(InputError, match="there is none"):
        suite.evaluate(QUICK, str(weights), DatasetRef(uri=str(tmp_path / "no")), str(tmp_path), name="demo")


def test_one_class_and_an_empty_split_are_refused(weights: Path, tmp_path: Path) -> None:
    one = {split: [labelled_chip(n + 99 * s, 10) for n in range(4)] for s, split in enumerate(("train", "val", "test"))}
    with pytest.raises(InputError, match=r"1 class \['tree cover'"):
        suite.evaluate(
            QUICK, str(weights), make_dataset(str(tmp_path / "a"), tmp_path, one), str(tmp_path), name="demo"
        )
    chips = three_classes(6)
    chips["val"] = []
    with pytest.raises(InputError, match="split val has no chip"):
        suite.evaluate(
            QUICK, str(weights), make_dataset(str(tmp_path / "b"), tmp_path, chips), str(tmp_path), name="demo"
        )


@pytest.mark.usefixtures("no_pictures")
def test_a_chip_whose_embedding_is_not_finite_is_left_out_for_its_encoder_alone(
    tiny_ref: DatasetRef, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from croma.evaluation.encoders import Network

    real = Network.encode

    def encode(self: Network, raw: object, *args: object) -> object:
        found = real(self, raw, *args)  # type: ignore[arg-type]
        if self.name == "trained" and "joint" in found:
            found["joint"][0] = np.nan
        return found

    monkeypatch.setattr(Network, "encode", encode)
    card = suite.evaluate(QUICK, str(weights), tiny_ref, str(tmp_path), name="demo")
    assert card.exclusions["test/trained joint embedding not finite"] == 2  # the first of either shard
    trained, radar = card.find("knn/joint/top1"), card.find("knn/radar/top1")
    assert trained is not None
    assert radar is not None
    assert (trained.n, radar.n) == (28, 30)


@pytest.mark.usefixtures("no_pictures")
def test_a_challenger_is_measured_beside_the_champion(tiny_ref: DatasetRef, tmp_path: Path, tracker: Tracker) -> None:
    gate = Gate(beats=("champion",), on=("knn/joint/top1",), by="interval")
    spec = QUICK.model_copy(update={"baselines": ("champion",), "protocols": (Knn(k=5),), "gate": gate})
    first, second = (str(make_weights(tmp_path / f"{seed}.safetensors", seed)) for seed in (1, 2))

    def evaluate(weights: str) -> Scorecard:
        return suite.evaluate(spec, weights, tiny_ref, str(tmp_path), name="rivals", tracker=tracker)

    crowned = evaluate(first)
    assert crowned.verdict.passed
    assert {score.encoder for score in crowned.scores} == {"trained"}
    champion = read_alias(tracker, "rivals", "champion")
    challenged = evaluate(second)
    assert not challenged.verdict.passed
    beside = challenged.find("knn/joint/top1", "champion")
    assert beside is not None
    assert beside.model_copy(update={"encoder": "trained"}) == crowned.find("knn/joint/top1")
    assert read_alias(tracker, "rivals", "champion") == champion
    assert evaluate(first) == crowned
