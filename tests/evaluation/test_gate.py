import pytest

from croma.errors import InputError
from croma.evaluation.gate import Gate, judge
from croma.evaluation.scores import Margin, Score
from croma.evaluation.spec import EvalSpec

KEY = "linear/joint/top1"


def score(value: float, low: float | None, key: str = KEY, encoder: str = "trained") -> Score:
    protocol, modality, metric = key.split("/")
    facts = {"encoder": encoder, "protocol": protocol, "modality": modality, "metric": metric}
    return Score.parse({**facts, "value": value, "low": low, "high": None if low is None else 1.0, "n": 50}, "test")


def margin(value: float, low: float | None, baseline: str = "untrained") -> Margin:
    facts = {"baseline": baseline, "protocol": "linear", "modality": "joint", "metric": "top1"}
    return Margin.parse({**facts, "value": value, "low": low, "high": None if low is None else 1.0}, "test")


@pytest.mark.parametrize(
    ("by", "low", "passes"), [("interval", 0.01, True), ("interval", -0.01, False), ("value", -0.01, True)]
)
def test_the_interval_or_the_value_of_the_difference_decides(by: str, low: float, passes: bool) -> None:
    gate = Gate.parse({"beats": ["untrained"], "on": [KEY], "by": by}, "gate")
    assert judge(gate, [], [margin(0.1, low)]).passed is passes


def test_floors_hold_for_the_lower_end() -> None:
    gate = Gate(floors={KEY: 0.7}, beats=())
    assert judge(gate, [score(0.8, 0.71)], []).passed
    verdict = judge(gate, [score(0.8, 0.69)], [])
    assert not verdict.passed
    assert verdict.failures[0].asked == "linear/joint/top1 at least 0.7"
    assert verdict.failures[0].found == "0.800 [0.690, 1.000]"


def test_without_an_interval_the_value_decides() -> None:
    assert judge(Gate(floors={KEY: 0.7}, beats=()), [score(0.7, None)], []).passed
    assert not judge(Gate(beats=("untrained",)), [], [margin(0.0, None)]).passed


def test_every_baseline_must_be_beaten() -> None:
    gate = Gate(beats=("untrained", "band-statistics"))
    found = [margin(0.2, 0.1), margin(-0.1, -0.2, "band-statistics")]
    verdict = judge(gate, [], found)
    assert [condition.met for condition in verdict.conditions] == [True, False]
    assert verdict.failures[0].found == "-0.100 [-0.200, +1.000]"


def test_what_was_not_measured_is_not_met() -> None:
    verdict = judge(Gate(floors={"knn/radar/top1": 0.1}), [score(1.0, 1.0, "knn/radar/top1", "untrained")], [])
    assert not verdict.passed
    assert {condition.found for condition in verdict.conditions} == {"not measured"}


def test_an_open_gate_lets_everything_pass() -> None:
    assert judge(Gate(beats=()), [], []).passed


def test_a_recipe_is_told_what_is_wrong_with_it() -> None:
    wrong = {
        "protocols": [{"kind": "knn", "name": "a"}, {"kind": "linear", "name": "a"}],
        "gate": {"on": ["knn/joint"]},
        "splits": {"fit": "train", "select": "train", "score": "test"},
    }
    with pytest.raises(InputError) as caught:
        EvalSpec.parse(wrong, "recipe")
    text = str(caught.value)
    assert "gate.on.0" in text
    assert "three different splits" in text
    with pytest.raises(InputError, match="share a name"):
        EvalSpec.parse({"protocols": wrong["protocols"]}, "recipe")


def test_of_a_champion_nothing_is_asked_while_there_is_none() -> None:
    gate = Gate(beats=("untrained", "champion"))
    found = [margin(0.2, 0.1)]
    assert judge(gate, [score(0.9, 0.8), score(0.7, 0.6, encoder="untrained")], found).passed
    rival = [score(0.9, 0.8), score(0.85, 0.8, encoder="champion")]
    assert not judge(gate, rival, found).passed
    assert judge(gate, rival, [*found, margin(0.05, 0.01, "champion")]).passed


def test_a_gate_cannot_ask_for_what_is_not_measured() -> None:
    with pytest.raises(InputError, match=r"gate.beats names untrained: add it to `baselines`"):
        EvalSpec.parse({"baselines": ["band-statistics"]}, "recipe")
