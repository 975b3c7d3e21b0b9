"""Our export in torchgeo's CROMA: loads strictly, gives the same. And torchgeo's weights in ours.

torchgeo is installed without its dependencies (`make test` does), so its one file is loaded by path.
"""

from types import ModuleType
from typing import Any

import pytest
import torch

from benchmarks.torchgeo_croma import load_torchgeo
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
        return load_torchgeo()
    except ImportError as error:
        pytest.skip(str(error))


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
