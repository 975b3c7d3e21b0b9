"""Law 6 in one process, and what the loop does when numbers break."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch

from croma.batches.batch import Batch, RawBatch
from croma.errors import ContractError
from croma.training.faults import find_fault
from croma.training.feed import feed
from croma.training.loop import train
from croma.training.settings import Faults
from croma.training.step import Requests


def run(tools: Any, store: Any = None, **options: Any) -> Any:
    """Train from scratch or from `store`; returns (curve, final weights, pixels, progress)."""
    plan = options.pop("plan", None) or tools.plan()
    objective, losses = tools.objective(tools.specs[options.pop("kind", "croma")]), tools.losses()
    pixels = options.pop("pixels", None) or tools.pixels()
    images = options.pop("images", pixels.images)
    progress = train(objective, pixels.batches, images, plan, checkpoints=store, watchers=[losses], **options)
    return losses.curve, objective.state_dict(), pixels, progress


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_it_learns(tools: Any) -> None:
    curve, _, _, progress = run(tools, plan=tools.plan(steps=30))
    assert progress.step == 30
    assert sum(loss for _, loss, _ in curve[-8:]) < 0.97 * sum(loss for _, loss, _ in curve[:8])


class KilledError(Exception):
    """Stands for a process that dies."""


@pytest.mark.parametrize(
    ("kind", "steps"), [("croma", range(1, 12)), *((k, (2, 6, 11)) for k in ("dual-encoder", "single-sensor", "cmid"))]
)
def test_killed_anywhere_it_gives_the_same_trajectory(tools: Any, kind: str, steps: Sequence[int]) -> None:
    """Every tensor of the state is the same to the bit: of CMID the teacher, queue, centre and schedule, too."""
    straight, weights, _, _ = run(tools, kind=kind)
    for killed in steps:
        store, asked = tools.memory(), iter(range(100))

        def die(asked: Iterator[int] = asked, killed: int = killed) -> Requests:
            if next(asked) == killed:
                raise KilledError
            return Requests()

        with pytest.raises(KilledError):
            run(tools, store, requests=die, kind=kind)
        resumed, again, pixels, progress = run(tools, store, kind=kind)
        assert resumed == straight[4 * (killed // 4) :], f"killed in step {killed}"
        assert_equal(again, weights)
        assert pixels.seen[0][0] == 4 * (killed // 4)
        assert progress.step == 12


@pytest.mark.parametrize("kind", ["croma", "dual-encoder", "single-sensor", "cmid"])
def test_it_goes_on_in_other_pieces(tools: Any, kind: str) -> None:
    straight, weights, _, _ = run(tools, kind=kind)
    store, asked = tools.memory(), iter(range(100))
    run(tools, store, kind=kind, requests=lambda: Requests(stop=next(asked) == 5))
    resumed, again, _, _ = run(tools, store, kind=kind, plan=tools.plan(micro_batch=3))
    assert [loss for _, loss, _ in resumed] == pytest.approx([loss for _, loss, _ in straight[6:]], rel=1e-4)
    for name, tensor in weights.items():
        torch.testing.assert_close(again[name], tensor, atol=2e-3, rtol=1e-3, msg=name)


def test_a_finished_run_does_nothing_more(tools: Any) -> None:
    store = tools.memory()
    _, weights, _, _ = run(tools, store)
    curve, again, pixels, progress = run(tools, store)
    assert curve == []
    assert pixels.seen == []
    assert progress.step == 12
    assert_equal(again, weights)


def test_asked_to_stop_it_saves_and_goes_on_later(tools: Any) -> None:
    straight, weights, _, _ = run(tools)
    store, asked = tools.memory(), iter(range(100))
    curve, _, _, progress = run(tools, store, requests=lambda: Requests(stop=next(asked) == 5))
    assert progress.step == 6
    assert max(store.states) == 6
    resumed, again, _, _ = run(tools, store)
    assert curve + resumed == straight
    assert_equal(again, weights)


def test_asked_to_save_it_saves_and_goes_on(tools: Any) -> None:
    store, asked = tools.memory(), iter(range(100))
    pixels, losses = tools.pixels(), tools.losses()
    options = {"checkpoints": store, "watchers": [losses], "requests": lambda: Requests(save=next(asked) == 5)}
    assert train(tools.objective(), pixels.batches, pixels.images, tools.plan(), **options).step == 12
    assert sorted(store.states) == [report.step for report in losses.reports if report.saved] == [4, 6, 8, 12]


def test_reports_add_up(tools: Any) -> None:
    losses = tools.losses()
    pixels, objective, plan = tools.pixels(), tools.objective(), tools.plan()
    progress = train(objective, pixels.batches, pixels.images, plan, watchers=[losses])
    for report in losses.reports:
        parts = sum(objective.weights[name] * value for name, value in report.parts.items())
        assert report.loss == pytest.approx(parts)
        assert 0 <= report.waited <= report.seconds
    rates = [report.rate for report in losses.reports]
    assert rates == [plan.schedule.rate(step, 12) for step in range(12)]
    assert [entry["loss"] for entry in progress.recent] == [report.loss for report in losses.reports]


def spoil(pixels: Any, chip: str, value: float = math.nan) -> Any:
    """Images in which one chip is broken."""

    def images(raw: RawBatch) -> Batch:
        batch = pixels.images(raw)
        radar = batch.radar.clone()
        radar[[name == chip for name in batch.ids]] = value
        return batch._replace(radar=radar)

    return images


def spoiled(tools: Any) -> tuple[Any, str, list[int]]:
    """Pixels, a chip, and the steps that it is in."""
    pixels = tools.pixels()
    chip = f"chip-{pixels.order.batch(6).chips[2]}"
    steps = [step for step in range(12) if chip in {f"chip-{c}" for c in pixels.order.batch(step).chips}]
    return pixels, chip, steps


def test_a_broken_chip_is_named(tools: Any) -> None:
    pixels, chip, steps = spoiled(tools)
    with pytest.raises(ContractError, match=rf"step {steps[0]}: the loss is nan; .*{chip} \(radar pixels are not") as e:
        run(tools, pixels=pixels, images=spoil(pixels, chip))
    assert str(e.value).count("chip-") == 1


def test_a_rewind_leaves_the_batch_out(tools: Any, caplog: pytest.LogCaptureFixture) -> None:
    pixels, chip, steps = spoiled(tools)
    plan, store = tools.plan(faults=Faults(action="rewind")), tools.memory()
    curve, _, _, progress = run(tools, store, plan=plan, pixels=pixels, images=spoil(pixels, chip))
    assert progress.left_out == steps
    assert progress.step == 12
    assert all(math.isfinite(loss) for _, loss, _ in curve)
    assert f"{chip} (radar pixels are not finite)" in caplog.text
    assert {step - 1 for step, _, _ in curve} == set(range(12)) - set(steps)


def test_rewinds_are_counted(tools: Any) -> None:
    pixels = tools.pixels()
    plan = tools.plan(faults=Faults(action="rewind", rewinds=2))
    with pytest.raises(ContractError, match=r"step 2: .* 2 batches were left out before"):
        run(tools, tools.memory(), plan=plan, pixels=pixels, images=spoil_all(pixels))


def spoil_all(pixels: Any) -> Any:
    return lambda raw: pixels.images(raw)._replace(optical=torch.full_like(raw.optical[10], math.inf))


def test_a_rewound_run_resumes_exactly(tools: Any) -> None:
    pixels, chip, _ = spoiled(tools)
    plan = tools.plan(faults=Faults(action="rewind"))
    _, weights, _, _ = run(tools, tools.memory(), plan=plan, pixels=pixels, images=spoil(pixels, chip))
    store, asked = tools.memory(), iter(range(100))
    run(tools, store, plan=plan, images=spoil(pixels, chip), requests=lambda: Requests(stop=next(asked) == 9))
    _, again, _, _ = run(tools, store, plan=plan, images=spoil(pixels, chip))
    assert_equal(again, weights)


def test_a_spike_names_the_largest_losses(tools: Any) -> None:
    pixels, plan = tools.pixels(), tools.plan(faults=Faults(spike=1.0001, memory=2))
    with pytest.raises(ContractError, match=r"the loss jumped to .* the largest losses: chip-.*\(loss ") as error:
        run(tools, plan=plan, pixels=pixels)  # losses wobble: one of them is above the median of two before it
    assert str(error.value).count("chip-") == 5


def test_what_counts_as_a_fault() -> None:
    settings = Faults(spike=3.0, memory=3)
    assert find_fault(1.0, 1.0, [1, 1, 1], settings) is None
    assert find_fault(math.inf, 1.0, [], settings) == "the loss is inf"
    assert find_fault(1.0, math.nan, [], settings) == "the gradient is nan long"
    assert find_fault(3.5, 1.0, [1, 9], settings) is None
    assert find_fault(3.5, 1.0, [9, 1, 1, 1], settings) == "the loss jumped to 3.5, 3.5 times the median of 3 steps"
    assert find_fault(3.5, 1.0, [1, 1, 1], Faults()) is None


def test_feeding_the_cpu_changes_nothing(tools: Any) -> None:
    batches = list(tools.pixels().batches(0, 3))
    fed = list(feed(iter(batches), torch.device("cpu")))
    assert [batch.ids for batch in fed] == [batch.ids for batch in batches]
