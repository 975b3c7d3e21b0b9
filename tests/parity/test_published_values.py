"""Law 7: with the `official` switches, losses, gradients and encodings are those of the published code.

Against tensors that the published code made; `make_fixtures.py` says how.
"""

from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from croma.batches.batch import Batch
from croma.model.alibi import Alibi, grid_positions, positions, slopes
from croma.model.masking import TokenMask
from croma.model.spec import ModelSpec
from croma.objectives.croma import CromaObjective
from croma.objectives.spec import CromaSpec
from tests.parity.make_fixtures import BATCH, PATH, TOKENS, inputs
from tests.parity.names import load_official, to_official
from tests.parity.official import noise

SPEC = ModelSpec(encoder_dim=32, encoder_depth=4, decoder_dim=16)
STAGES = {
    "radar_encoder": "model.radar_encoder",
    "optical_encoder": "model.optical_encoder",
    "GAP_FFN_radar": "model.radar_pool",
    "GAP_FFN_optical": "model.optical_pool",
    "cross_encoder": "model.joint_encoder",
    "global_contrast_loss.radar_proj": "radar_projection.linear",
    "global_contrast_loss.optical_proj": "optical_projection.linear",
    "decoder.linear_output": "decoder.predict",
}
"""Published modules, and ours that give the same."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    with safe_open(PATH, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping


@pytest.fixture
def objective(published: dict[str, Tensor]) -> CromaObjective:
    weights = {name.removeprefix("weight."): t for name, t in published.items() if name.startswith("weight.")}
    made = CromaObjective(CromaSpec(model=SPEC))
    load_official(made, weights)
    return made


@pytest.fixture
def run(objective: CromaObjective, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """One pass with the published masks: what every stage gave, the terms, the gradients."""
    images, *keeps = inputs()
    masks = tuple(TokenMask.from_ids(keep, TOKENS) for keep in keeps)
    monkeypatch.setattr(objective, "masks", lambda keys: masks)
    stages: dict[str, Tensor] = {}
    for name, ours in STAGES.items():
        objective.get_submodule(ours).register_forward_hook(
            lambda module, inputs, output, name=name: stages.update({name: output.detach()})
        )
    local = objective(Batch(radar=images[:, 12:], optical=images[:, :12], keys=torch.arange(BATCH)))
    terms = local.terms | objective.coupled(local.features)
    sum(terms.values(), torch.zeros(())).backward()
    gradients = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
    return {"stages": stages, "terms": terms, "gradients": to_official(gradients)}


def test_every_stage(published: dict[str, Tensor], run: dict[str, Any]) -> None:
    run["stages"]["decoder.linear_output"] = run["stages"]["decoder.linear_output"][:, ::15]
    for name in STAGES:
        expected = published[f"stage.{name}"]
        assert relative(run["stages"][name], expected) < 1e-5, name


def test_both_losses(published: dict[str, Tensor], run: dict[str, Any]) -> None:
    terms = run["terms"]
    reconstruction = terms["optical_reconstruction"] + terms["radar_reconstruction"]
    assert float(terms["contrast"]) == pytest.approx(float(published["loss.contrast"]), abs=1e-6)
    assert float(reconstruction) == pytest.approx(float(published["loss.reconstruction"]), abs=1e-6)


def test_every_gradient(published: dict[str, Tensor], run: dict[str, Any]) -> None:
    expected = {name.removeprefix("gradient."): t for name, t in published.items() if name.startswith("gradient.")}
    assert run["gradients"].keys() == expected.keys()
    # The temperature's gradient is a small difference of sums near 1, so its error is absolute.
    scale = "global_contrast_loss.logit_scale"
    assert float(run["gradients"][scale]) == pytest.approx(float(expected.pop(scale)), abs=1e-6)
    worst = {name: relative(run["gradients"][name], gradient) for name, gradient in expected.items()}
    assert max(worst.values()) < 1e-4, max(worst, key=lambda name: worst[name])


def test_bfloat16_stays_close(published: dict[str, Tensor], objective: CromaObjective) -> None:
    images, *keeps = inputs()
    objective.masks = lambda keys: tuple(TokenMask.from_ids(keep, TOKENS) for keep in keeps)
    with torch.autocast("cpu", torch.bfloat16):
        local = objective(Batch(radar=images[:, 12:], optical=images[:, :12], keys=torch.arange(BATCH)))
        contrast = objective.coupled(local.features)["contrast"]
    assert float(contrast) == pytest.approx(float(published["loss.contrast"]), abs=1e-2)
    assert float(sum(local.terms.values())) == pytest.approx(float(published["loss.reconstruction"]), abs=1e-2)


@pytest.mark.parametrize("size", [120, pytest.param(504, marks=pytest.mark.slow)])
def test_whole_images(published: dict[str, Tensor], objective: CromaObjective, size: int) -> None:
    """At 504 px too, with weights made for 120 px and without ever writing out the bias."""
    image = noise(1, 14, size, size, seed=size)
    with torch.no_grad():
        found = objective.model(radar=image[:, 12:], optical=image[:, :12])
    step = 5 if size == 120 else 63
    for name in ("radar", "optical", "joint"):
        expected = published[f"whole.{size}.{name}"]
        assert relative(getattr(found, name)[:, ::step], expected) < 1e-5, name
    for name in ("radar_gap", "optical_gap"):
        assert relative(getattr(found, name), published[f"whole.{size}.{name}"]) < 1e-5, name


@pytest.mark.parametrize("heads", [8, 12, 16])
@pytest.mark.parametrize("side", [12, 15])
def test_bias_to_the_last_bit(published: dict[str, Tensor], heads: int, side: int) -> None:
    places = grid_positions((side, side), torch.device("cpu"))
    bias = Alibi(slopes(heads), places, places).dense(torch.float32)
    assert torch.equal(bias[0, :, side * side // 3], published[f"bias.{heads}.{side * side}"])


def test_masked_bias_to_the_last_bit(published: dict[str, Tensor]) -> None:
    _, radar, optical = inputs()
    bias = Alibi(slopes(16), positions(radar, 15), positions(optical, 15)).dense(torch.float32)
    assert torch.equal(bias[:, :, ::8], published["bias.masked"])


def relative(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a share of the largest number expected."""
    return float((found - expected).abs().max() / expected.abs().max())
