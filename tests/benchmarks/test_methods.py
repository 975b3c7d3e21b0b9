from dataclasses import replace

import pytest

from benchmarks.methods import METHODS, rows
from croma.model.towers_spec import TowersSpec
from croma.objectives.spec import CmidSpec
from croma.training.cost import training_flops


@pytest.mark.slow
def test_operations_are_those_of_the_reference() -> None:
    """71.7 GFLOP were counted on the published CMID with a ResNet-50 on 224 px of three bands."""
    model = TowersSpec(backbone="resnet", patch=32, towers=("optical",), image=224, optical_channels=3)
    assert training_flops(CmidSpec(model=model, mask_patch=32)) / 1e9 == pytest.approx(71.7, abs=0.05)


@pytest.mark.slow
def test_a_row_for_each_method() -> None:
    tower = TowersSpec(dim=32, depth=1, heads=2, image=24)
    few = {
        "dual": replace(METHODS["dual encoder, ViT-B, 120 px"], model=tower),
        "single": replace(METHODS["CMID (optical), ViT-B, 120 px"], model=replace(tower, towers=("radar",)), matches=4),
    }
    table = rows(few, batch=4, measured=2)
    assert [row["method"] for row in table] == list(few)
    for row, spec in zip(table, few.values(), strict=True):
        assert row["samples_per_core_second"] > 0
        # The table counts what couples the batch, too.
        assert row["gigaflops"] * 1e9 >= training_flops(spec) * 0.99 - 5e6
