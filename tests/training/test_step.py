from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from croma.batches.batch import Batch
from croma.model.spec import LARGE
from croma.objectives.croma import CromaObjective
from croma.objectives.objective import Features, Local
from croma.objectives.spec import CromaSpec
from croma.training.gradients import Gradients
from croma.training.settings import AdamW
from croma.training.sharding import units
from croma.training.step import Requests, Stepper, cut, decay_groups

TOTAL = 10


def one_batch(tools: Any) -> Batch:
    pixels = tools.pixels(global_batch=TOTAL)
    return pixels.images(next(pixels.batches(0, 1)))


def by_the_book(objective: Any, batch: Batch) -> tuple[float, dict[str, Tensor]]:
    """The loss of the whole batch in one graph, and its gradient."""
    local = objective(batch._replace(ids=()))
    terms = local.terms | objective.coupled(local.features)
    loss = sum(objective.weights[name] * term for name, term in terms.items())
    loss.backward()
    gradients = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
    return float(loss.detach()), gradients


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    assert found.keys() >= expected.keys()
    for name, gradient in expected.items():
        error = (found[name] - gradient).abs().max()
        assert error <= tolerance * gradient.abs().max() + 1e-9, name


@pytest.mark.parametrize("grad", ["official", "paper"])
@pytest.mark.parametrize("micro", [None, 10, 5, 4, 3, 1])
def test_micro_batches_give_the_gradient_of_the_whole(tools: Any, grad: str, micro: int | None) -> None:
    spec = replace(tools.spec, contrast_grad=grad)
    batch = one_batch(tools)
    loss, expected = by_the_book(tools.objective(spec), batch)
    objective = tools.objective(spec)
    outcome = Stepper(objective, AdamW(), "float32").gradient(cut(batch, micro), TOTAL)
    assert outcome.loss == pytest.approx(loss, rel=1e-6)
    assert_same({name: p.grad for name, p in objective.named_parameters()}, expected)
    length = torch.stack([gradient.norm() for gradient in expected.values()]).norm()
    assert outcome.grad_norm == pytest.approx(float(length), rel=1e-5)


@pytest.mark.parametrize("weights", [(0.0, 1.0), (1.0, 0.0)], ids=["reconstruction", "contrast"])
def test_either_kind_of_term_may_be_missing(tools: Any, weights: tuple[float, float]) -> None:
    spec = replace(tools.spec, contrast_weight=weights[0], reconstruction_weight=weights[1])
    batch = one_batch(tools)
    loss, expected = by_the_book(tools.objective(spec), batch)
    objective = tools.objective(spec)
    outcome = Stepper(objective, AdamW(), "float32").gradient(cut(batch, 3), TOTAL)
    assert outcome.loss == pytest.approx(loss, rel=1e-6)
    assert set(outcome.parts) == set(objective.weights)
    assert_same({name: p.grad for name, p in objective.named_parameters()}, expected)


class Shared(nn.Module):
    """An objective whose parameter is used in every way at once."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = {"spread": 0.5, "size": 2.0}
        self.layer = nn.Linear(2, 3)
        self.scale = nn.Parameter(torch.tensor(1.5))
        with torch.no_grad():
            self.layer.weight.copy_(torch.arange(6.0).view(3, 2) / 7)
            self.layer.bias.fill_(0.1)

    def features(self, batch: Batch) -> Features:
        return {"x": self.layer(batch.radar.mean((2, 3))) * self.scale}

    def forward(self, batch: Batch) -> Local:
        features = self.features(batch)
        return Local(features, {"size": (features["x"] ** 2).mean() * self.scale})

    def coupled(self, features: Features) -> dict[str, Tensor]:
        return {"spread": (features["x"] @ features["x"].T * self.scale).sigmoid().mean()}

    def update(self, step: int, steps: int) -> None:
        pass


@pytest.mark.parametrize("micro", [None, 3])
def test_a_parameter_used_locally_and_coupled_is_counted_once_each(tools: Any, micro: int | None) -> None:
    batch = one_batch(tools)
    loss, expected = by_the_book(Shared(), batch)
    objective = Shared()
    outcome = Stepper(objective, AdamW(), "float32").gradient(cut(batch, micro), TOTAL)
    assert outcome.loss == pytest.approx(loss, rel=1e-6)
    assert_same({name: p.grad for name, p in objective.named_parameters()}, expected)


def test_the_update_is_that_of_plain_adamw(tools: Any) -> None:
    batch, settings = one_batch(tools), AdamW(clip=0.5, weight_decay=0.1, eps=1e-3)
    reference, objective = tools.objective(), tools.objective()
    plain = torch.optim.AdamW(decay_groups(reference, 0.1), lr=1e-3, betas=settings.betas, eps=1e-3)
    stepper = Stepper(objective, settings, "float32")
    for _ in range(3):
        plain.zero_grad()
        by_the_book(reference, batch)
        nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
        plain.step()
        stepper.update(1e-3, stepper.gradient(cut(batch, 4), TOTAL).grad_norm)
    for found, expected in zip(objective.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_only_matrices_decay(tools: Any) -> None:
    objective = tools.objective()
    decaying, spared = decay_groups(objective, 0.05)
    names = {id(parameter): name for name, parameter in objective.named_parameters()}
    assert {names[id(p)].rpartition(".")[2] for p in decaying["params"]} == {"weight"}
    assert all(p.ndim == 2 for p in decaying["params"])
    assert "log_scale" in {names[id(p)] for p in spared["params"]}
    assert len(decaying["params"]) + len(spared["params"]) == len(names)


def test_narrow_passes_keep_wide_losses(tools: Any) -> None:
    batch = one_batch(tools)
    exact = Stepper(tools.objective(), AdamW(), "float32").gradient(cut(batch, None), TOTAL)
    objective = tools.objective()
    narrow = Stepper(objective, AdamW(), "bfloat16").gradient(cut(batch, 4), TOTAL)
    assert narrow.loss == pytest.approx(exact.loss, rel=1e-2)
    assert narrow.loss != exact.loss
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in objective.parameters() if p.grad is not None)


def test_recomputed_activations_give_the_same_gradient(tools: Any) -> None:
    from croma.model.layers import recompute_activations

    batch = one_batch(tools)
    plain, thrifty = tools.objective(), tools.objective()
    recompute_activations(thrifty)
    one = Stepper(plain, AdamW(), "float32").gradient(cut(batch, 4), TOTAL)
    other = Stepper(thrifty, AdamW(), "float32").gradient(cut(batch, 4), TOTAL)
    assert one == other
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(plain.parameters(), thrifty.parameters(), strict=True))


@pytest.mark.slow
def test_compiled_passes_give_the_same_gradient(tools: Any) -> None:
    batch = one_batch(tools)
    plain, compiled = tools.objective(), tools.objective()
    one = Stepper(plain, AdamW(), "float32").gradient(cut(batch, 5), TOTAL)
    other = Stepper(compiled, AdamW(), "float32", compiled=True).gradient(cut(batch, 5), TOTAL)
    assert other.loss == pytest.approx(one.loss, rel=1e-5)
    expected = {name: p.grad for name, p in plain.named_parameters()}
    assert_same({name: p.grad for name, p in compiled.named_parameters()}, expected, 1e-4)


def test_requests_come_back(tools: Any) -> None:
    stepper, pieces = Stepper(tools.objective(), AdamW(), "float32"), cut(one_batch(tools), None)
    for asked in (Requests(), Requests(save=True), Requests(stop=True), Requests(save=True, stop=True)):
        assert stepper.gradient(pieces, TOTAL, asked).requests == asked


def test_pieces_are_even_and_in_order(tools: Any) -> None:
    batch = one_batch(tools)
    for size in (1, 3, 4, 7, 10, 99):
        pieces = cut(batch, size)
        lengths = [len(piece.keys) for piece in pieces]
        assert max(lengths) <= size
        assert max(lengths) - min(lengths) <= 1
        assert torch.equal(torch.cat([piece.keys for piece in pieces]), batch.keys)
        assert sum((piece.ids for piece in pieces), ()) == batch.ids


def test_gradients_are_views_of_few_buffers() -> None:
    layers = nn.Sequential(*(nn.Linear(8, 8) for _ in range(5)))
    gradients = Gradients(layers.parameters(), bucket=2 * 72 * 4)
    layers(torch.ones(1, 8)).sum().backward()
    first = {name: p.grad.clone() for name, p in layers.named_parameters()}  # type: ignore[union-attr]
    norm = gradients.norm()
    assert float(norm) == pytest.approx(float(torch.stack([g.norm() for g in first.values()]).norm()))
    gradients.clip(norm, float(norm) / 4)
    for name, parameter in layers.named_parameters():
        torch.testing.assert_close(parameter.grad, first[name] / 4)
    assert len({p.grad.untyped_storage().data_ptr() for p in layers.parameters()}) == 3  # type: ignore[union-attr]
    gradients.zero()
    assert float(gradients.norm()) == 0


def test_units_are_nearly_all_of_a_large_network() -> None:
    with torch.device("meta"):
        objective = CromaObjective(CromaSpec(model=LARGE))
    within = sum(p.numel() for unit in units(objective) for p in unit.parameters())
    assert within > 0.9 * sum(p.numel() for p in objective.parameters())


def test_what_is_not_trained_is_no_unit() -> None:
    with torch.device("meta"):
        objective = CromaObjective(CromaSpec(model=LARGE, reconstruction_weight=0))
    assert units(objective) == [objective.model.radar_encoder, objective.model.optical_encoder]
