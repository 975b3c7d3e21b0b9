"""Networks other than CROMA: towers that do not know of each other, and networks that see one sensor alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from croma.evaluation import suite
from croma.evaluation.modalities import modalities_of, patches, pooled, sensors_of
from croma.evaluation.serving import load_model
from croma.evaluation.spec import EvalSpec, FineTune, Knn, Retrieval
from croma.model.networks import build_network
from croma.model.towers_spec import TowersSpec
from croma.model.weights import Card, save_weights
from croma.shards.ref import DatasetRef
from tests.evaluation.world import CONSTANTS, SIZE

pytestmark = pytest.mark.slow

PAIR = TowersSpec(dim=32, depth=1, heads=4, image=SIZE)
OPTICAL = TowersSpec(towers=("optical",), dim=32, depth=1, heads=4, image=SIZE)
SHORT = FineTune(epochs=1, shares=(1.0,), learning_rates=(1e-3,))


def save(folder: Path, spec: TowersSpec) -> str:
    torch.manual_seed(0)
    save_weights(folder / "weights.safetensors", build_network(spec), Card(model=spec, normalisation=CONSTANTS))
    return str(folder / "weights.safetensors")


def test_what_a_network_can_be_asked_for() -> None:
    assert modalities_of(PAIR) == ("radar", "optical", "joint")
    assert modalities_of(OPTICAL) == ("optical",)
    assert modalities_of(TowersSpec(towers=("joint",))) == ("joint",)
    assert sensors_of(("joint",)) == ("radar", "optical")
    assert sensors_of(("optical",)) == ("optical",)


def test_two_towers_give_a_joint_vector_side_by_side() -> None:
    found = build_network(PAIR)(radar=torch.rand(2, 2, 24, 24), optical=torch.rand(2, 12, 24, 24))
    torch.testing.assert_close(pooled(found, "joint"), torch.cat([found.radar_gap, found.optical_gap], dim=1))
    assert patches(found, "joint").shape == (2, 9, 64)
    alone = build_network(OPTICAL)(optical=torch.rand(2, 12, 24, 24))
    with pytest.raises(ValueError, match="no joint vector"):
        pooled(alone, "joint")


@pytest.mark.parametrize(("spec", "modalities"), [(PAIR, {"radar", "optical", "joint"}), (OPTICAL, {"optical"})])
def test_they_are_evaluated_on_what_they_have(
    spec: TowersSpec, modalities: set[str], tiny_ref: DatasetRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if spec is PAIR:
        monkeypatch.setattr(suite, "draw_pictures", lambda *_: {})
    recipe = EvalSpec(protocols=(Knn(k=5), Retrieval(), SHORT), bootstrap={"draws": 20, "block_km": 1.0}, gallery=2)
    card = suite.evaluate(recipe, save(tmp_path, spec), tiny_ref, str(tmp_path), name="demo")
    trained = [score for score in card.scores if score.encoder == "trained"]
    assert {score.modality for score in trained} == modalities
    assert any(score.protocol == "retrieval" for score in trained) is (spec is PAIR)
    # A baseline stands beside the trained network: what that one lacks is not measured.
    assert {score.modality for score in card.scores if score.encoder == "band-statistics"} == modalities


def test_a_network_of_one_sensor_is_served_with_that_sensor(tmp_path: Path) -> None:
    save(tmp_path, OPTICAL)
    model = load_model(tmp_path)
    found = model.predict({"optical": np.ones((3, 12, 16, 16), np.float32)})
    assert {name: vectors.shape for name, vectors in found.items()} == {"optical": (3, 32)}
    with pytest.raises(ValueError, match="optical is missing"):
        model.predict({"radar": np.ones((3, 2, 16, 16), np.float32)})
