import math
from dataclasses import replace

import pytest
import torch

from croma.batches.batch import Batch
from croma.model.towers_spec import TowersSpec
from croma.objectives.choose import build
from croma.objectives.contrastive import cross_modal, initial_log_scale, nt_xent
from croma.objectives.dual_encoder import DualEncoder
from croma.objectives.spec import DualEncoderSpec
from tests.objectives.contract import ObjectiveContract
from tests.objectives.test_contrastive import rows

VIT = TowersSpec(dim=48, depth=2, heads=4, patch=4, image=(24, 16))
RESNET = TowersSpec(backbone="resnet", width=8, blocks=(1, 1), patch=8, image=(24, 16))
SENSORS = DualEncoderSpec(model=VIT, projection=16)


def seeded(spec: DualEncoderSpec) -> DualEncoder:
    torch.manual_seed(0)
    objective = build(spec)
    assert isinstance(objective, DualEncoder)
    return objective


class TestSensors(ObjectiveContract):
    @classmethod
    def batch(cls) -> Batch:
        """As the contract's, but images that differ: what all rows share is taken away, and leaves rounding."""
        same = ObjectiveContract.batch()
        gain = torch.linspace(0, 2, len(same.keys))[:, None, None, None]
        return same._replace(radar=same.radar * gain, optical=same.optical * gain.flip(0).square())

    test_draws_follow_the_keys = None  # nothing is drawn: the sensors are the augmentation

    @classmethod
    def build(cls) -> DualEncoder:
        return seeded(SENSORS)


class TestCrossModalResNet(ObjectiveContract):
    test_draws_follow_the_keys = None

    @classmethod
    def build(cls) -> DualEncoder:
        return seeded(DualEncoderSpec(model=RESNET, projection=16, negatives="cross_modal", learn_temperature=True))


class TestViewsOfOneSensor(ObjectiveContract):
    @classmethod
    def build(cls) -> DualEncoder:
        return seeded(DualEncoderSpec(model=replace(VIT, towers=("optical",)), positives="views", projection=16))


def test_all_negatives_equal_the_double_loop() -> None:
    left, right = rows()
    together, total = torch.cat((left, right)).detach(), 0.0
    for i in range(12):
        scores = [math.exp(float(together[i] @ together[k]) / 0.1) for k in range(12) if k != i]
        total += math.log(sum(scores)) - float(together[i] @ together[(i + 6) % 12]) / 0.1
    found = nt_xent(left, right, initial_log_scale(0.1))
    assert float(found.detach()) == pytest.approx(total / 12, rel=1e-5)


def test_cross_modal_is_the_contrast_of_croma() -> None:
    objective, batch = seeded(replace(SENSORS, negatives="cross_modal")), ObjectiveContract.batch()
    features = objective.features(batch)
    left, right = (torch.nn.functional.normalize(features[side], dim=1) for side in ("left", "right"))
    expected = cross_modal(left, right, objective.log_scale, through_keys=True)
    assert torch.equal(objective.coupled(features)["contrast"], expected)
    assert torch.equal(expected, cross_modal(left, right, objective.log_scale, False))


def test_what_all_rows_of_a_sensor_share_does_not_keep_the_sensors_apart() -> None:
    objective, batch = seeded(SENSORS), ObjectiveContract.batch()
    features = objective.features(batch)
    apart = {"left": features["left"] + 100, "right": features["right"] * 3 - 100}
    expected = objective.coupled(features)["contrast"]
    torch.testing.assert_close(objective.coupled(apart)["contrast"], expected, rtol=1e-3, atol=0)
    norm = torch.nn.BatchNorm1d(16, affine=False)
    left, right = (torch.nn.functional.normalize(norm(features[side]), dim=1) for side in ("left", "right"))
    torch.testing.assert_close(nt_xent(left, right, objective.log_scale), expected)


def test_keeps_one_encoder_for_each_sensor() -> None:
    model = seeded(SENSORS).model
    found = model(torch.rand(2, 2, 24, 16), torch.rand(2, 12, 24, 16))
    assert found.radar.shape == found.optical.shape == (2, 24, 48)
    assert (found.joint, found.joint_gap) == (None, None)
    with pytest.raises(ValueError, match="nothing to encode: this network sees radar, optical"):
        model()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"positives": "views"}, r"model.towers are \['optical', 'radar'\]; positives 'views' need exactly one"),
        ({"model": replace(VIT, towers=("optical",))}, "positives 'sensors' need radar and optical"),
        ({"temperature": 0.0}, "temperature is 0.0; it is above 0"),
        ({"negatives": "some"}, "negatives is 'some'; it is 'all' or 'cross_modal'"),
        ({"projection": 0, "smallest_crop": 2.0}, "projection is 0.*smallest_crop is 2.0"),
    ],
)
def test_wrong_recipes_are_refused(change: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(SENSORS, **change)
