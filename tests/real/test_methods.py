"""Every method on real Sentinel chips, end to end: search, dataset, pretraining, weights, embeddings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from croma.building.fill import fill
from croma.building.prepare import prepare, read_plan
from croma.building.seal import seal
from croma.building.spec import BuildSpec
from croma.evaluation.embed import embed
from croma.evaluation.encoders import Network
from croma.evaluation.sources import open_weights
from croma.shards.dataset import Dataset, open_dataset
from croma.simulate.server import serve
from croma.training.spec import TrainRun, TrainSpec
from croma.training.step import Requests
from croma.training.worker import train_here

pytestmark = pytest.mark.slow

RECIPE = yaml.safe_load((Path(__file__).parent / "bigearthnet.yaml").read_text())
VIT = {"dim": 48, "depth": 2, "heads": 4, "image": 120}
SWIN = {"backbone": "swin", "width": 32, "blocks": [1, 1], "patch": 8, "image": 120}
HEADS = {"hidden": 64, "projection": 32, "queue": 64, "prototypes": 32}
METHODS: dict[str, dict[str, Any]] = {
    "croma": RECIPE["pretrain"]["objective"],
    "dual-encoder": {"kind": "dual_encoder", "model": VIT},
    "single-sensor": {"kind": "dual_encoder", "positives": "views", "model": {**VIT, "towers": ["radar"]}},
    "cmid": {"kind": "cmid", "model": {**VIT, "towers": ["optical"]}, **HEADS},
    "cmid-swin": {"kind": "cmid", "model": {**SWIN, "towers": ["joint"]}, **HEADS},
}


@pytest.fixture(scope="module")
def dataset(real_samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dataset]:
    uri = str(tmp_path_factory.mktemp("bigearthnet"))
    with serve(real_samples / "bigearthnet") as address:
        spec = BuildSpec.parse(RECIPE["dataset"] | {"split": {"val": 0, "test": 0}}, "bigearthnet")
        prepared = prepare(spec, address, uri)
        cards = [fill(read_plan(prepared.plan, shard), uri) for shard in prepared.shards]
        yield open_dataset(seal(uri, cards, {}))


@pytest.mark.parametrize("method", METHODS)
def test_end_to_end(method: str, dataset: Dataset, tmp_path: Path) -> None:
    spec = TrainSpec.parse({**RECIPE["pretrain"], "objective": METHODS[method]}, method)
    run = TrainRun(id=method, name="real", spec=spec, dataset=dataset.ref, root=str(tmp_path), attempt="1")
    trained = train_here(run, torch.device("cpu"), Requests, lambda line: None)
    assert trained.step == spec.steps
    with open_weights(run.weights) as source:
        encoder = Network("trained", source.model, source.constants, source.fingerprint)
        found = embed(encoder, dataset, dataset.rows, encoder.modalities, str(tmp_path), batch=2)
    assert set(found) == set(encoder.modalities)
    for vectors in found.values():
        assert len(vectors) == dataset.rows.num_rows == 4
        assert vectors.isfinite().all()
        assert (torch.pdist(vectors) > 1e-4).all(), "chips of different places look alike"
