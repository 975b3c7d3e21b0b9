"""Recipes and comparisons that come along: valid, and every objective trains as its recipe has it, made small."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from croma.errors import InputError
from croma.model.spec import ModelSpec
from croma.model.towers_spec import TowersSpec
from croma.objectives.spec import CmidSpec, ObjectiveSpec
from croma.recipes.comparison import Comparison, load_comparison
from croma.recipes.recipe import load_recipe, recipe_names
from croma.shards.ref import DatasetRef
from croma.training.spec import TrainRun, TrainSpec
from croma.training.step import Requests
from croma.training.worker import train_here
from tests.datasets import write_dataset

pytestmark = pytest.mark.slow


def pretrainings() -> Iterator[tuple[str, TrainSpec]]:
    """Every pretraining of every recipe and comparison, by name."""
    for name in recipe_names():
        yield name, load_recipe(name).pretrain
    for name in recipe_names("compare"):
        comparison = load_comparison(name)
        for method in comparison.objectives:
            yield f"{name}/{method}", comparison.training(method)


def small(objective: ObjectiveSpec) -> ObjectiveSpec:
    """An objective with the least networks and heads; every switch stays."""
    model: Any = objective.model
    sizes: dict[str, Any] = {"encoder_dim": 32, "encoder_depth": 2, "encoder_heads": 2}
    sizes |= {"decoder_dim": 16, "decoder_heads": 2, "image": 48}
    if isinstance(model, TowersSpec):
        stages = {"width": 32, "blocks": (1, 1), "patch": 8}
        sizes = {"dim": 32, "depth": 1, "heads": 2, "image": 48} | ({} if model.backbone == "vit" else stages)
    changes: dict[str, Any] = {"model": replace(model, **sizes)}
    if isinstance(objective, CmidSpec):
        changes |= {"hidden": 16, "projection": 8, "queue": 16, "prototypes": 8, "mask_patch": 16, "matches": 4}
    return replace(objective, **changes)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_dataset(str(tmp_path_factory.mktemp("noise")), size=48, shards=1, per_shard=4)


@pytest.mark.parametrize(("name", "spec"), list(pretrainings()), ids=lambda part: part if isinstance(part, str) else "")
def test_two_steps_of_every_pretraining_change_its_networks(
    name: str, spec: TrainSpec, dataset: str, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    quick = {"objective": small(spec.objective), "steps": 2, "global_batch": 4, "augmentation": {"crop": (48, 48)}}
    schedule = replace(spec.schedule, warmup=0)
    spec = TrainSpec.model_validate(
        spec.model_dump(exclude={*quick, "schedule", "resources"}) | quick | {"schedule": schedule}
    )
    run = TrainRun(id=name, name="test", spec=spec, dataset=DatasetRef(uri=dataset), root=str(tmp_path), attempt="1")
    trained = train_here(run, torch.device("cpu"), Requests, lambda line: None)
    assert trained.step == 2
    assert all(torch.isfinite(torch.tensor(loss)) for loss in trained.losses.values())
    assert Path(run.weights).exists()


def test_what_is_small_has_every_switch_of_its_recipe() -> None:
    for name, spec in pretrainings():
        made = small(spec.objective)
        free = {"model", "hidden", "projection", "queue", "prototypes", "mask_patch", "matches"}
        for each in fields(made):
            assert each.name in free or getattr(made, each.name) == getattr(spec.objective, each.name), name
        if isinstance(made.model, ModelSpec):
            assert made.model.positions == spec.objective.model.positions
        else:
            assert made.model.towers == spec.objective.model.towers


def test_ablations_change_one_thing_each() -> None:
    comparison = load_comparison("ablations")
    (reference, whole), *others = comparison.objectives.items()
    assert reference == "croma"
    found = {}
    for name, objective in others:
        flat, base = flatten(objective), flatten(whole)
        found[name] = {key for key in flat if flat[key] != base[key]}
    assert found == {
        "contrast-only": {"reconstruction_weight"},
        "reconstruction-only": {"contrast_weight", "contrast_grad"},  # without contrast it has no gradient to speak of
        "sines-and-cosines": {"model.positions"},
        "joint-masks": {"masks"},
    }


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for each in fields(value):
        inner = getattr(value, each.name)
        flat |= flatten(inner, f"{prefix}{each.name}.") if isinstance(inner, ModelSpec) else {prefix + each.name: inner}
    return flat


def test_equal_samples_and_equal_compute() -> None:
    comparison = load_comparison("demo")
    flops = {method: 1e9 * (1 + number) for number, method in enumerate(comparison.objectives)}
    plans = comparison.plan(flops)
    assert [(budget, method) for budget, method, _ in plans[:2]] == [("samples", "croma"), ("samples", "dual-encoder")]
    assert {spec.steps for budget, _, spec in plans if budget == "samples"} == {comparison.pretrain.steps}
    whole = comparison.pretrain.steps * flops["croma"]
    for budget, method, spec in plans:
        assert spec.global_batch == comparison.pretrain.global_batch
        assert spec.schedule.warmup < spec.steps
        if budget == "compute":
            assert abs(spec.steps * flops[method] - whole) <= flops[method] / 2
    same = [spec for _, method, spec in plans if method == "croma"]
    assert same[0] == same[1] == comparison.pretrain


def changed(**fields: Any) -> Any:
    text = Path("croma/recipes/compare/demo.yaml").read_text()
    return Comparison.parse(yaml.safe_load(text) | fields, "it")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"reference": "dual-encoder"}, "against names dual-encoder, which is the reference"),
        ({"against": {}}, "against: .*at least 1 item"),
        ({"against": {"cmid": {"objective": {"kind": "cmid", "mask_patch": 7}}}}, "mask_patch is 7"),
        ({"evaluate": {"baselines": ["champion"], "gate": {"beats": []}}}, "baselines name champion: here that is"),
        (
            {"against": {"wide": {"objective": {"kind": "dual_encoder", "model": {"image": [48, 96]}}}}},
            "against.wide: .*crops are square",
        ),
    ],
)
def test_wrong_comparisons_are_refused(fields: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        changed(**fields)


def test_no_comparison_of_that_name() -> None:
    with pytest.raises(InputError, match="no recipe of that name; there are ablations, demo, methods"):
        load_comparison("methds")
