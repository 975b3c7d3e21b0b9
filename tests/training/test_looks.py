from dataclasses import replace
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from croma.batches.batch import Batch
from croma.objectives.reconstruction import normalise, restore
from croma.training.looks import Look, draw, fill_in, first, spread
from croma.training.loop import StepReport
from croma.training.reporting import Metrics


def one_batch(tools: Any, size: int = 6) -> Batch:
    pixels = tools.pixels(global_batch=size)
    return pixels.images(next(pixels.batches(0, 1)))


def test_restoring_undoes_normalising() -> None:
    patches = torch.rand(2, 5, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(restore(normalise(patches), patches), patches)


def test_counterparts_that_agree_are_aligned() -> None:
    rows = torch.eye(4)
    assert spread({"radar": rows, "optical": rows})["alignment"] == 0
    assert spread({"radar": rows, "optical": -rows})["alignment"] == 4


def test_uniformity_falls_as_embeddings_spread() -> None:
    together, apart = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert spread({"radar": together}) == {"uniformity/radar": 0.0}
    assert spread({"radar": apart})["uniformity/radar"] == pytest.approx(-8.0)
    assert spread({"radar": apart[:1]}) == {}


def test_views_and_scores_are_no_trouble() -> None:
    views = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, 1.0]]])
    assert spread({"queries": views, "scores": 3 * views[:, 0]}) == {"uniformity/queries": pytest.approx(-8.0)}


@pytest.mark.parametrize("norm", ["official", "paper"])
def test_only_hidden_patches_are_filled_in(tools: Any, norm: str) -> None:
    batch = one_batch(tools)
    with torch.no_grad():
        filled = fill_in(tools.objective(replace(tools.spec, target_norm=norm)), batch)
    for true, shown, guessed in filled:
        hidden = shown.isnan()
        assert hidden.float().mean() == pytest.approx(0.5)
        assert torch.equal(guessed[~hidden], true[~hidden])
        assert not torch.equal(guessed[hidden], true[hidden])
        assert 0 <= guessed.min() <= guessed.max() <= 1


class Kept:
    """A tracker that keeps what it is given."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}
        self.sent = 0
        self.figures: dict[str, Figure] = {}

    def metrics(self, values: dict[str, float], step: int) -> None:
        self.numbers |= values

    def flush(self) -> None:
        self.sent = len(self.numbers)

    def figure(self, path: str, figure: Figure) -> None:
        self.figures[path] = figure


def test_a_look_is_taken_every_so_often(tools: Any) -> None:
    kept, objective, batch = Kept(), tools.objective(), one_batch(tools)
    look = Look(kept, 5, first(batch, 2))  # type: ignore[arg-type]
    for step in range(1, 11):
        look.after_step(StepReport(step, 1.0, {}, 0.1, 1.0, 0.1, 0.0, False), batch, objective)
    assert set(kept.numbers) == {"embeddings/alignment", "embeddings/uniformity/radar", "embeddings/uniformity/optical"}
    assert list(kept.figures) == ["reconstructions/step-00000005.png", "reconstructions/step-00000010.png"]
    assert all(len(figure.axes) == 2 * 2 * 3 for figure in kept.figures.values())
    assert all(parameter.grad is None for parameter in objective.parameters())


def test_a_picture_has_a_row_for_each_sensor_of_a_chip(tools: Any) -> None:
    with torch.no_grad():
        figure = draw(fill_in(tools.objective(), one_batch(tools, 3)))
    assert len(figure.axes) == 3 * 2 * 3


def test_what_was_measured_goes_out_with_every_checkpoint(tools: Any) -> None:
    """A run that goes on from there does not repeat the steps before it."""
    kept, objective, batch = Kept(), tools.objective(), one_batch(tools)
    metrics = Metrics(kept, 6, 1)
    report = StepReport(7, 1.0, {}, 0.1, 1.0, 0.1, 0.0, False)
    metrics.after_step(report, batch, objective)
    assert kept.sent == 0
    metrics.after_step(report._replace(step=8, saved=True), batch, objective)
    assert kept.sent == len(kept.numbers) > 0
