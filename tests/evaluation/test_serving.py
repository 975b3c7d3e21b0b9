import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from croma.evaluation import serving
from croma.evaluation.packing import log_model
from croma.evaluation.registry import register, set_alias
from croma.evaluation.sources import open_weights
from croma.model.weights import load_weights
from croma.tracking.run import open_run
from croma.tracking.tracker import Tracker
from tests.conftest import free_port
from tests.evaluation.world import SPEC


@pytest.fixture(scope="module")
def model(weights: Path) -> serving.EmbeddingModel:
    return serving.load_model(weights.parent)


def pairs(n: int = 2, size: int = 24) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "radar": rng.normal(-14, 4, (n, 2, size, size)).astype(np.float32),
        "optical": rng.uniform(1, 4000, (n, 12, size, size)).astype(np.float32),
    }


def test_embeddings_are_those_of_the_network_on_normalised_images(model: serving.EmbeddingModel, weights: Path) -> None:
    images = pairs()
    found = model.predict(images)
    network, card = load_weights(weights)
    assert card.normalisation is not None
    scaled = {}
    for name in images:
        mean, std = (np.array(card.normalisation[f"{name}_{kind}"])[:, None, None] for kind in ("mean", "std"))
        scaled[name] = torch.tensor(np.clip((images[name] - (mean - 2 * std)) / (4 * std), 0, 1)).float()
    expected = network.eval()(**scaled)
    for name in ("radar", "optical", "joint"):
        np.testing.assert_allclose(found[name], getattr(expected, f"{name}_gap").detach(), rtol=1e-4, atol=1e-5)


def test_many_images_go_through_in_pieces(model: serving.EmbeddingModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = model.predict(pairs(5))
    monkeypatch.setattr(serving, "_CHUNK", 2)
    pieces = model.predict(pairs(5))
    for name, vectors in whole.items():
        np.testing.assert_allclose(pieces[name], vectors, rtol=1e-4, atol=1e-5)


def test_nodata_is_what_it_is_in_training(model: serving.EmbeddingModel) -> None:
    images = pairs()
    images["radar"][0, 0, :8] = np.nan
    assert np.isfinite(model.predict(images)["joint"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"radar": np.zeros((2, 3, 24, 24), np.float32)},
            r"radar has shape \(2, 3, 24, 24\): \(batch, 2, height, width\)",
        ),
        ({"optical": np.zeros((2, 12, 20, 24), np.float32)}, r"optical is 20 × 24 px: both must be multiples of 8"),
        ({"optical": np.zeros((3, 12, 24, 24), np.float32)}, r"are pairs: their number and size must agree"),
        ({"radar": np.zeros((2, 24, 24), np.float32)}, r"\(batch, 2, height, width\) is wanted"),
    ],
)
def test_wrong_shapes_are_refused_in_words(
    model: serving.EmbeddingModel, change: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model.predict(pairs() | change)


def test_a_missing_sensor_is_named(model: serving.EmbeddingModel) -> None:
    with pytest.raises(ValueError, match="optical is missing"):
        model.predict({"radar": pairs()["radar"]})


ALONE = """
import importlib.abc, json, sys

class Hidden(importlib.abc.MetaPathFinder):
    # Stands before every other finder: not the installed package, only what travels with the model.
    def find_spec(self, name, path=None, target=None):
        if name == "croma" and not any("code" in place for place in sys.path):
            raise ModuleNotFoundError(name)
        return None

sys.meta_path.insert(0, Hidden())
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
radar, optical = np.full((2, 2, 16, 16), -14, np.float32), np.full((2, 12, 16, 16), 900, np.float32)
found = model.predict({"radar": radar, "optical": optical})
import croma
loaded = sorted(name for name in sys.modules if name.startswith("croma."))
print(json.dumps([croma.__file__, loaded, found["joint"].tolist()]))
"""


@pytest.mark.slow
def test_a_logged_model_runs_on_the_code_that_travels_with_it(weights: Path, tracker: Tracker, tmp_path: Path) -> None:
    with open_run(tracker, "alone", "run") as run, open_weights(str(weights)) as source:
        address = f"models:/{log_model(run, source, {'licence': 'Apache-2.0'})}"
    (tmp_path / "alone.py").write_text(ALONE)
    command = [sys.executable, str(tmp_path / "alone.py"), tracker.uri, address]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    origin, loaded, vectors = json.loads(result.stdout.splitlines()[-1])
    assert Path(origin).parent != Path(serving.__file__).parent.parent
    rooms = {name.split(".")[1] for name in loaded}
    assert rooms <= {"batches", "errors", "evaluation", "model", "sensors"}
    assert np.shape(vectors) == (2, SPEC.encoder_dim)


@pytest.fixture
def served(weights: Path, tracker: Tracker, tmp_path: Path) -> Iterator[str]:
    """The address of `mlflow models serve` for a registered model."""
    with open_run(tracker, "served", "run") as run, open_weights(str(weights)) as source:
        model = log_model(run, source, {})
        set_alias(tracker, "served", "champion", register(tracker, "served", model, run.id, {}))
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/served@champion", "-p", str(port)]
    command += ["--env-manager", "local", "-h", "127.0.0.1", "-w", "1"]
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": tracker.uri,
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2).close()
                break
            except OSError:
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def ask(address: str, images: dict[str, np.ndarray]) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"inputs": {name: array.tolist() for name, array in images.items()}}).encode()
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_mlflow_serves_the_registered_model(served: str, model: serving.EmbeddingModel) -> None:
    images = pairs(2, 16)
    status, answer = ask(served, images)
    assert status == 200, answer
    expected = model.predict(images)
    for name, vectors in expected.items():
        np.testing.assert_allclose(answer["predictions"][name], vectors, rtol=1e-4, atol=1e-5)
    status, answer = ask(served, images | {"radar": np.zeros((2, 3, 16, 16), np.float32)})
    assert status == 400
    assert "radar has shape (2, 3, 16, 16)" in str(answer)
    status, answer = ask(served, images | {"optical": np.zeros((2, 12, 20, 16), np.float32)})
    assert status == 400
    assert "multiples of 8" in str(answer)
