"""Recipes and sweeps that come along: they load, and those after the paper say its numbers."""

from pathlib import Path

import pytest

from croma.errors import InputError
from croma.model.spec import BASE, LARGE, ModelSpec
from croma.objectives.spec import CromaSpec
from croma.recipes.recipe import load_recipe, recipe_names
from croma.recipes.sweep import load_sweep
from croma.training.spec import TrainSpec
from croma.training.sweep import shortened, with_rate

CHIPS = 1_004_316
"""Of SSL4EO-S12."""


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_fits_together(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.pretrain.augmentation.crop[1] <= recipe.dataset.chip_size
    assert not recipe.evaluate.needs_labels or recipe.dataset.labels is not None


@pytest.mark.parametrize("name", recipe_names("sweeps"))
def test_every_sweep_has_a_recipe_and_ends_early(name: str) -> None:
    sweep = load_sweep(name)
    whole = load_recipe(sweep.recipe).pretrain
    assert whole.schedule.lr in sweep.rates
    assert shortened(whole, sweep.steps).steps < whole.steps


@pytest.mark.parametrize(("name", "model", "epochs"), [("base", BASE, 300), ("large", LARGE, 600)])
def test_what_is_published_is_kept(name: str, model: ModelSpec, epochs: int) -> None:
    recipe = load_recipe(name)
    spec = recipe.pretrain
    assert spec.objective == CromaSpec(model=model), "another network or loss than the published code's"
    assert (spec.augmentation.crop, recipe.dataset.chip_size, spec.precision) == ((60, 180), 264, "bfloat16")
    assert 0 <= spec.steps * spec.global_batch - epochs * CHIPS < spec.global_batch
    workers, piece = spec.resources.most_workers, spec.resources.micro_batch or spec.global_batch
    assert spec.global_batch % workers == 0
    assert min(piece, spec.global_batch // workers) <= 900, "more than the authors' GPUs took"


@pytest.mark.parametrize("name", ["base", "large"])
def test_every_number_says_where_it_is_from(name: str) -> None:
    import croma.recipes.recipe as home

    text = (
        Path(home.__file__)
        .with_name(f"{name}.yaml")
        .read_text()
        .partition("\npretrain:")[2]
        .partition("\n  resources")[0]
    )
    assert all(tag in text for tag in ("[code]", "[told]", "[recalled]", "[ours]"))


def test_a_shorter_run_warms_up_for_its_share() -> None:
    spec = TrainSpec.parse({"steps": 1000, "global_batch": 8, "schedule": {"warmup": 100}}, "test")
    assert shortened(spec, None) == spec
    short = shortened(spec, 50)
    assert (short.steps, short.schedule.warmup) == (50, 5)
    assert with_rate(short, 0.5).schedule.lr == 0.5
    assert with_rate(short, 0.5).run_id("n", "d") != short.run_id("n", "d")


def test_wrong_sweeps_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("name: x\nrecipe: demo\nrates: [1.0e-3, 1.0e-3]\nsteps: 1\n")
    with pytest.raises(InputError) as caught:
        load_sweep(str(path))
    text = "\n".join(caught.value.problems)
    assert "rates: rates must be different" in text
    assert "steps: Input should be greater than or equal to 2" in text
    with pytest.raises(InputError, match=r"no recipe of that name; there are base-rates, demo-rates, large-rates"):
        load_sweep("none")
