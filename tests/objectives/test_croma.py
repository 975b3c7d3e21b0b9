from dataclasses import replace

import pytest
import torch
from pydantic import TypeAdapter

from croma.batches.batch import Batch
from croma.model.patches import patchify
from croma.model.spec import ModelSpec
from croma.objectives.choose import build
from croma.objectives.croma import CromaObjective, targets
from croma.objectives.spec import CromaSpec, ObjectiveSpec
from tests.objectives.contract import ObjectiveContract, weigh

TINY = ModelSpec(
    encoder_dim=48, encoder_depth=2, encoder_heads=16, patch=4, image=(24, 16), decoder_dim=32, decoder_heads=4
)
OFFICIAL = CromaSpec(model=TINY)
PAPER = CromaSpec(
    model=replace(TINY, joint_self_bias="paper"), contrast_grad="paper", target_norm="paper", clamp_temperature="paper"
)


def seeded(spec: CromaSpec) -> CromaObjective:
    torch.manual_seed(0)
    objective = build(spec)
    assert isinstance(objective, CromaObjective)
    return objective


class TestOfficial(ObjectiveContract):
    @classmethod
    def build(cls) -> CromaObjective:
        return seeded(OFFICIAL)


class TestPaper(ObjectiveContract):
    @classmethod
    def build(cls) -> CromaObjective:
        return seeded(PAPER)


class TestReconstructionOnly(ObjectiveContract):
    test_two_processes_give_the_gradient_of_one = None  # its terms are among those of TestOfficial

    @classmethod
    def build(cls) -> CromaObjective:
        return seeded(replace(OFFICIAL, contrast_weight=0.0))


class TestContrastOnly(ObjectiveContract):
    test_two_processes_give_the_gradient_of_one = None  # its terms are among those of TestOfficial

    @classmethod
    def build(cls) -> CromaObjective:
        return seeded(replace(OFFICIAL, reconstruction_weight=0.0))


@pytest.fixture
def batch() -> Batch:
    return ObjectiveContract.batch()


def terms(spec: CromaSpec, batch: Batch) -> dict[str, float]:
    objective = seeded(spec)
    local = objective(batch)
    return {name: float(term) for name, term in (local.terms | objective.coupled(local.features)).items()}


def test_each_switch_changes_what_it_should_and_no_more(batch: Batch) -> None:
    official = terms(OFFICIAL, batch)
    assert terms(replace(OFFICIAL, contrast_grad="paper"), batch) == official
    assert terms(replace(OFFICIAL, clamp_temperature="paper"), batch) == official
    norm = terms(replace(OFFICIAL, target_norm="paper"), batch)
    assert {name for name in official if norm[name] != official[name]} == {
        "optical_reconstruction",
        "radar_reconstruction",
    }
    bias = terms(replace(OFFICIAL, model=replace(TINY, joint_self_bias="paper")), batch)
    assert bias["contrast"] == official["contrast"]
    assert bias["optical_reconstruction"] != official["optical_reconstruction"]


def test_weights_are_those_of_the_recipe(batch: Batch) -> None:
    objective = seeded(replace(OFFICIAL, contrast_weight=0.5, reconstruction_weight=2.0))
    assert objective.weights == {"contrast": 0.5, "optical_reconstruction": 2.0, "radar_reconstruction": 2.0}
    assert float(weigh(objective, {"contrast": torch.tensor(4.0), "radar_reconstruction": torch.tensor(1.0)})) == 4.0


def test_masks_belong_to_samples_and_differ_between_sensors(batch: Batch) -> None:
    objective = seeded(OFFICIAL)
    radar, optical = objective.masks(batch.keys)
    assert not torch.equal(radar.keep, optical.keep)
    for number in range(len(batch.keys)):
        alone, _ = objective.masks(batch.keys[number : number + 1])
        assert torch.equal(alone.keep[0], radar.keep[number])


def test_joint_masks_hide_the_same_patches_of_both_sensors(batch: Batch) -> None:
    radar, optical = seeded(replace(OFFICIAL, masks="joint")).masks(batch.keys)
    assert torch.equal(radar.keep, optical.keep)
    assert torch.equal(radar.keep, seeded(OFFICIAL).masks(batch.keys)[0].keep)


def test_the_temperature_is_clamped_only_on_paper() -> None:
    for spec, largest in ((OFFICIAL, 7.0), (PAPER, 4.6051702)):
        objective = seeded(spec)
        with torch.no_grad():
            objective.log_scale.fill_(7.0)
        objective.update(0, 10)
        assert float(objective.log_scale.detach()) == pytest.approx(largest)


def test_targets_are_normalised_together_or_apart(batch: Batch) -> None:
    pixels = torch.cat((patchify(batch.optical, 4), patchify(batch.radar, 4)), dim=-1)[3, 5]
    expected = (pixels - pixels.mean()) / (pixels.var() + 1e-6).sqrt()
    together = torch.cat(targets(batch, 4, "official"), dim=-1)[3, 5]
    torch.testing.assert_close(together, expected)
    for part in targets(batch, 4, "paper"):
        torch.testing.assert_close(part.mean(-1), torch.zeros(8, 24), atol=1e-5, rtol=0)
        torch.testing.assert_close(part.std(-1), torch.ones(8, 24), atol=1e-4, rtol=0)


def test_a_constant_patch_is_a_target_of_zeros(batch: Batch) -> None:
    flat = batch._replace(radar=torch.ones_like(batch.radar), optical=torch.ones_like(batch.optical))
    assert all(float(part.abs().max()) == 0 for part in targets(flat, 4, "official"))


def test_images_of_another_size_are_refused(batch: Batch) -> None:
    with pytest.raises(ValueError, match=r"optical images are \(24, 12\) px; the model is set to image=\(24, 16\)"):
        seeded(OFFICIAL)(batch._replace(optical=batch.optical[..., :12]))


def test_predicts_pixels_of_both_sensors(batch: Batch) -> None:
    prediction, radar, optical = seeded(OFFICIAL).predict(batch)
    assert prediction.shape == (8, 24, 14 * 16)
    assert radar.hidden.sum(1).tolist() == optical.hidden.sum(1).tolist() == [18] * 8


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"radar_mask_ratio": 1.0}, "radar_mask_ratio is 1.0; of 24 patches at least one is hidden and one is seen"),
        ({"optical_mask_ratio": 0.99}, "optical_mask_ratio is 0.99"),
        ({"contrast_weight": 0.0, "reconstruction_weight": 0.0}, "nothing would be learnt"),
        ({"contrast_weight": -1.0}, "contrast_weight is -1.0; it is a finite number, at least 0"),
        ({"masks": "same"}, "masks is 'same'; it is 'independent' or 'joint'"),
        ({"masks": "joint", "radar_mask_ratio": 0.5}, "radar_mask_ratio is 0.5, optical 0.75; joint masks have one"),
        ({"target_norm": "joint"}, "target_norm is 'joint'; it is 'official' or 'paper'"),
    ],
)
def test_wrong_recipes_are_refused(change: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(OFFICIAL, **change)


def test_a_recipe_is_read_strictly() -> None:
    adapter = TypeAdapter(ObjectiveSpec)
    assert adapter.validate_python({"kind": "croma", "contrast_weight": 0.5}) == CromaSpec(contrast_weight=0.5)
    with pytest.raises(ValueError, match="contrast_wait"):
        adapter.validate_python({"kind": "croma", "contrast_wait": 0.5})
