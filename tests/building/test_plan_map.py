"""The map of a plan, looked at through its pixels."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from croma.building import plan_map
from croma.building.plan import Plan, make_plan
from croma.building.plan_map import COLOURS, draw
from tests.building.test_plan import OPTICAL, RADAR, spec


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(spec(), OPTICAL, RADAR)


@pytest.mark.parametrize("many", [100_000, 10])
def test_every_split_is_on_the_map(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr(plan_map, "MANY", many)
    path = tmp_path / "plans" / "map.png"
    draw(plan.book, spec(), path)
    pixels = mpl.image.imread(path)[..., :3]
    for colour in COLOURS:
        wanted = np.array(mpl.colors.to_rgb(colour))
        drawn = 0.7 * wanted + 0.3 if many > 1000 else wanted
        assert (np.abs(pixels - drawn).max(axis=-1) < 0.06).sum() > 20, colour
