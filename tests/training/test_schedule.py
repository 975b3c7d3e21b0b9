import math

import pytest

from croma.training.schedule import Schedule


def test_it_rises_then_falls() -> None:
    schedule = Schedule(lr=2.0, warmup=4, final=0.1)
    rates = [schedule.rate(step, 20) for step in range(20)]
    assert rates[:5] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    assert rates == rates[:4] + sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(0.2)
    assert max(rates) == 2.0


def test_halfway_is_the_mean_of_peak_and_end() -> None:
    assert Schedule(lr=1.0, warmup=10, final=0.5).rate(15, 21) == pytest.approx(0.75)


def test_it_needs_no_warmup() -> None:
    assert Schedule(lr=1.0).rate(0, 1) == 1.0
    assert Schedule(lr=1.0).rate(0, 100) == 1.0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [({"lr": 0.0}, "lr is 0.0"), ({"lr": math.inf}, "lr is inf"), ({"warmup": -1}, "warmup"), ({"final": 2}, "final")],
)
def test_refusals(fields: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Schedule(**fields)  # type: ignore[arg-type]
