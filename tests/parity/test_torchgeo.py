"""Our export in torchgeo's CROMA: loads strictly, gives the same. And torchgeo's weights in ours.

torchgeo is installed without its dependencies (`make test` does), so its one file is loaded by path. Where torchvision
is absent, its two base classes for lists of downloads are stood in for.
"""

import enum
import importlib.metadata
import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest
import torch

from croma.model.croma import Croma
from croma.model.published import PARTS, export_parts, import_parts
from croma.model.spec import ModelSpec
from tests.parity.official import noise

SPEC = ModelSpec(encoder_dim=48, encoder_depth=4)
THEIRS = {"radar": "sar_encodings", "optical": "optical_encodings", "joint": "joint_encodings"}
THEIRS |= {"radar_gap": "sar_GAP", "optical_gap": "optical_GAP", "joint_gap": "joint_GAP"}


@pytest.fixture(scope="module")
def torchgeo_croma() -> ModuleType:
    """The module `torchgeo.models.croma`."""
    try:
        files = importlib.metadata.files("torchgeo") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("torchgeo is not installed: pip install --no-deps torchgeo==0.8.1 einops")
    stand_in = ModuleType("torchvision.models._api")
    stand_in.Weights = type("Weights", (), {"__init__": lambda self, **fields: self.__dict__.update(fields)})
    stand_in.WeightsEnum = enum.Enum
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("torchvision") is None:
            for name in ("torchvision", "torchvision.models"):
                patch.setitem(sys.modules, name, ModuleType(name))
            patch.setitem(sys.modules, stand_in.__name__, stand_in)
        (path,) = (file.locate() for file in files if str(file) == "torchgeo/models/croma.py")
        spec = importlib.util.spec_from_file_location("torchgeo_croma", str(path))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def build(module: ModuleType, size: int) -> Any:
    return module.CROMA(encoder_dim=SPEC.encoder_dim, encoder_depth=SPEC.encoder_depth, image_size=size)


@pytest.mark.parametrize("size", [120, 64])
def test_our_export_gives_the_same_there(torchgeo_croma: ModuleType, size: int) -> None:
    torch.manual_seed(0)
    ours = Croma(SPEC).eval()
    theirs = build(torchgeo_croma, size).eval()
    for part, tensors in export_parts(ours).items():
        theirs.get_submodule(part).load_state_dict(tensors, strict=True)
    image = noise(2, 14, size, size, seed=4)
    with torch.no_grad():
        found, expected = ours(image[:, 12:], image[:, :12]), theirs(image[:, 12:], image[:, :12])
    for name, published in THEIRS.items():
        torch.testing.assert_close(getattr(found, name), expected[published], atol=2e-6, rtol=1e-5)


def test_their_weights_give_the_same_here(torchgeo_croma: ModuleType) -> None:
    torch.manual_seed(1)
    theirs = build(torchgeo_croma, 120).eval()
    ours = import_parts({part: theirs.get_submodule(part).state_dict() for part in PARTS}).eval()
    image = noise(1, 14, 120, 120, seed=5)
    with torch.no_grad():
        found, expected = ours(image[:, 12:], image[:, :12]), theirs(image[:, 12:], image[:, :12])
    for name, published in THEIRS.items():
        torch.testing.assert_close(getattr(found, name), expected[published], atol=2e-6, rtol=1e-5)
