from pathlib import Path

import numpy as np
import pytest
import torch

from croma.evaluation import suite
from croma.evaluation.bench import Bench
from croma.evaluation.encoders import untrained
from croma.evaluation.finetune import Classifier, layer_rates, measure
from croma.evaluation.labels import few, make_task
from croma.evaluation.spec import EvalSpec, FineTune, PresentClasses
from croma.shards.dataset import Dataset
from croma.shards.ref import DatasetRef
from tests.evaluation.world import CONSTANTS, SPEC

FAST = FineTune(shares=(1.0,), learning_rates=(3e-3,), epochs=4, batch=16)
SETTINGS = EvalSpec(bootstrap={"draws": 20, "block_km": 1.0})


def bench_of(dataset: Dataset, root: Path, spec: EvalSpec = SETTINGS) -> Bench:
    return Bench(dataset=dataset, task=make_task(dataset, spec), spec=spec, root=str(root))


def test_it_learns_what_can_be_learnt_and_leaves_the_encoder_alone(tiny: Dataset, tmp_path: Path) -> None:
    encoder = untrained(SPEC, CONSTANTS, "float32", torch.device("cpu"))
    before = [parameter.clone() for parameter in encoder.model.parameters()]
    found = measure(bench_of(tiny, tmp_path), encoder, "joint", FAST)
    assert found.values["top1-at-100"][0] >= 0.95
    assert found.note.startswith("100 %: rate=0.003 epoch=")
    for old, new in zip(before, encoder.model.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=0)


def test_chance_where_labels_mean_nothing(tiny: Dataset, tmp_path: Path) -> None:
    bench = bench_of(tiny, tmp_path)
    generator = torch.Generator().manual_seed(0)
    for part in (bench.task.fit, bench.task.select, bench.task.score):
        part.labels[:] = part.labels[torch.randperm(len(part.labels), generator=generator)]
    encoder = untrained(SPEC, CONSTANTS, "float32", torch.device("cpu"))
    found = measure(bench, encoder, "radar", FAST)
    assert found.values["top1-at-100"][0] == pytest.approx(1 / 3, abs=0.25)


def test_it_repeats_with_its_seed(tiny: Dataset, tmp_path: Path) -> None:
    encoder = untrained(SPEC, CONSTANTS, "float32", torch.device("cpu"))
    short = FAST.model_copy(update={"epochs": 1})
    first, again = (measure(bench_of(tiny, tmp_path), encoder, "optical", short) for _ in range(2))
    np.testing.assert_array_equal(first.values["macro-f1-at-100"], again.values["macro-f1-at-100"])


def test_a_few_labels_are_nested_and_hold_every_class(tiny: Dataset, tmp_path: Path) -> None:
    fit = bench_of(tiny, tmp_path).task.fit
    one, half, all_of_them = (set(few(fit, share, 4).tolist()) for share in (0.01, 0.5, 1.0))
    assert one < half < all_of_them
    assert half != set(few(fit, 0.5, 5).tolist())
    assert len(one) == 3
    assert len(half) == 15
    assert set(fit.labels[sorted(one)].tolist()) == {0, 1, 2}


def test_several_labels_a_chip(tiny: Dataset, tmp_path: Path) -> None:
    spec = SETTINGS.model_copy(update={"target": PresentClasses()})
    encoder = untrained(SPEC, CONSTANTS, "float32", torch.device("cpu"))
    found = measure(bench_of(tiny, tmp_path, spec), encoder, "joint", FAST)
    assert found.values["map-micro-at-100"][0] > 0.7


@pytest.mark.parametrize("modality", ["radar", "optical", "joint"])
def test_every_block_learns_slower_than_the_one_above(modality: str) -> None:
    encoder = untrained(SPEC, CONSTANTS, "float32", torch.device("cpu"))
    model = Classifier(encoder, modality, 3)  # type: ignore[arg-type]
    rates = {id(p): group["lr"] for group in layer_rates(model, 1.0, 0.5) for p in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    rate = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    above = 0.5 if modality == "joint" else 1.0
    expected = {
        "head.weight": 1.0,
        "body.joint_encoder.norm.weight": 1.0,
        "body.optical_encoder.norm.weight": above,
        "body.optical_encoder.blocks.1.feedforward.up.weight": above * 0.5,
        "body.optical_encoder.blocks.0.attention.qkv.weight": above * 0.25,
        "body.optical_encoder.embed.weight": above * 0.125,
        "body.radar_encoder.blocks.0.attention.qkv.weight": above * 0.5,
        "body.radar_encoder.embed.weight": above * 0.25,
    }
    if modality == "joint":
        expected["body.joint_encoder.blocks.0.cross.query.weight"] = 0.5
    assert {name: rate[name] for name in expected} == expected


def test_in_the_suite_networks_alone_are_fine_tuned(
    tiny_ref: DatasetRef, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "draw_pictures", lambda *_: {})
    short = FAST.model_copy(update={"epochs": 1, "shares": (0.1, 1.0)})
    spec = SETTINGS.model_copy(update={"protocols": (short,), "modalities": ("radar",)})
    card = suite.evaluate(spec, str(weights), tiny_ref, str(tmp_path), name="demo")
    assert {score.encoder for score in card.scores} == {"trained", "untrained"}
    assert {"top1-at-10", "top1-at-100"} <= {score.metric for score in card.scores}
