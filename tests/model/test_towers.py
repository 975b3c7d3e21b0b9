from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from croma.errors import InputError
from croma.model.networks import build_network
from croma.model.published import save_published
from croma.model.resnet import ResNet
from croma.model.spec import ModelSpec
from croma.model.towers import Towers
from croma.model.towers_spec import TowersSpec, network_spec
from croma.model.weights import Card, load_weights, save_weights

VIT = TowersSpec(dim=48, depth=2, heads=4, patch=4, image=(24, 16))
RESNET = TowersSpec(towers=("joint",), backbone="resnet", width=8, blocks=(1, 1), patch=8, image=(24, 16))
SWIN = TowersSpec(towers=("radar", "joint"), backbone="swin", width=32, blocks=(1, 2), patch=8, image=(24, 16))


@pytest.mark.parametrize(("bands", "parameters"), [(2, 23_504_896), (3, 23_508_032), (12, 23_536_256)])
def test_resnet_50_has_its_size_at_any_number_of_bands(bands: int, parameters: int) -> None:
    """23,508,032 for three bands, as torchvision has it without its classifier; 7 × 7 × 64 more for each band more."""
    with torch.device("meta"):
        model = ResNet(bands, 64, (3, 4, 6, 3))
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model(torch.rand(1, bands, 224, 224, device="meta")).shape == (1, 49, 2048)


def test_a_chip_s_encoding_does_not_depend_on_its_neighbours() -> None:
    for spec in (VIT, RESNET, SWIN):
        model = Towers(spec)
        radar, optical = torch.rand(4, 2, 24, 16), torch.rand(4, 12, 24, 16)
        together, alone = model(radar, optical), model(radar[1:2], optical[1:2])
        for one, other in zip(together, alone, strict=True):
            if one is not None:
                torch.testing.assert_close(one[1:2], other, atol=1e-5, rtol=1e-5)


def test_the_joint_tower_sees_both_sensors() -> None:
    model = build_network(RESNET)
    radar, optical = torch.rand(2, 2, 24, 16), torch.rand(2, 12, 24, 16)
    found = model(radar, optical)
    assert found.joint.shape == (2, 6, RESNET.features)
    assert (found.radar, found.optical) == (None, None)
    with pytest.raises(ValueError, match="this network sees joint"):
        model(optical=optical)


@pytest.mark.parametrize("spec", [VIT, RESNET, SWIN])
def test_weights_of_any_network_come_back(spec: TowersSpec, tmp_path: Path) -> None:
    model = build_network(spec)
    save_weights(tmp_path / "weights", model, Card(model=spec, provenance={"recipe": "test"}))
    again, card = load_weights(tmp_path / "weights")
    assert isinstance(again, Towers)
    assert card.model == again.spec == spec
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_towers_have_no_released_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only CROMA has a released format"):
        save_published(build_network(VIT), tmp_path / "towers.pt")


def test_specs_are_told_apart() -> None:
    for spec in (VIT, RESNET, SWIN, ModelSpec(image=(96, 64))):
        assert network_spec(asdict(spec)) == spec


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"towers": ()}, r"towers are \[\]; name each of"),
        ({"towers": ("radar", "radar")}, "at most once"),
        ({"backbone": "unet"}, "backbone is 'unet'; it is 'vit', 'resnet' or 'swin'"),
        ({"heads": 5}, "dim is 48; it is a multiple of 5, for heads"),
        ({"image": 90}, "image is 90; its sides are positive multiples of 4"),
        ({"backbone": "resnet"}, "patch is 4; a resnet of 4 stages has 32"),
        ({"backbone": "swin", "patch": 32, "image": 64, "width": 48}, "width is 48; a swin has a multiple of 32"),
        ({"backbone": "resnet", "blocks": (0,), "patch": 4}, "every stage has at least 1"),
    ],
)
def test_wrong_sizes_are_refused(change: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(VIT, **change)
