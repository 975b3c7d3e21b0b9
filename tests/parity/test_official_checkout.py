"""Against the published code at its own size, where CROMA_OFFICIAL names a checkout of antofuller/CROMA."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed as dist

from croma.batches.batch import Batch
from croma.model.alibi import Alibi, grid_positions, slopes
from croma.model.croma import Croma
from croma.model.masking import TokenMask
from croma.model.published import save_published
from croma.model.spec import BASE
from croma.objectives.croma import CromaObjective
from croma.objectives.spec import CromaSpec
from tests.parity import official
from tests.parity.names import load_official, to_official

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def folder() -> Any:
    found = official.checkout()
    if found is None:
        pytest.skip(f"CROMA_OFFICIAL names no checkout of antofuller/CROMA at {official.COMMIT[:7]}")
    yield found
    if dist.is_initialized():
        dist.destroy_process_group()


def test_one_step_of_base(folder: Path) -> None:
    """Weights from seed 0, images from seed 1, masks from seed 2, four samples."""
    module = official.load(folder, "pretrain_croma")
    torch.manual_seed(0)
    theirs = module.CROMA()
    images = torch.rand(4, 14, 120, 120, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    infos = [module.get_mask(4, 225, "cpu", 0.75) for _ in range(2)]
    contrast, reconstruction = theirs(images, *infos, rank=0, world_size=1)
    (contrast + reconstruction).backward()

    ours = CromaObjective(CromaSpec(model=BASE))
    load_official(ours, theirs.state_dict())
    torch.manual_seed(2)
    masks = tuple(TokenMask.from_noise(torch.rand(4, 225), 0.75) for _ in range(2))
    for mask, info in zip(masks, infos, strict=True):
        assert torch.equal(mask.keep, info["ids_keep"])
        assert torch.equal(mask.hidden.float(), info["mask_for_mae"])
    ours.masks = lambda keys: masks
    local = ours(Batch(radar=images[:, 12:], optical=images[:, :12], keys=torch.arange(4)))
    terms = local.terms | ours.coupled(local.features)
    sum(terms.values(), torch.zeros(())).backward()

    assert float(terms["contrast"]) == pytest.approx(float(contrast), abs=1e-6)
    found = float(terms["optical_reconstruction"] + terms["radar_reconstruction"])
    assert found == pytest.approx(float(reconstruction), abs=1e-6)
    gradients = to_official({name: p.grad for name, p in ours.named_parameters() if p.grad is not None})
    for name, parameter in theirs.named_parameters():
        if parameter.grad is None:
            assert name == "decoder.decoder_pos_embed"
            continue
        worst = (gradients[name] - parameter.grad).abs().max() / parameter.grad.abs().max()
        assert worst < 1e-4, name


def test_our_export_in_their_loader(folder: Path, tmp_path: Path) -> None:
    module = official.load(folder, "use_croma")
    torch.manual_seed(0)
    ours = Croma(BASE).eval()
    save_published(ours, tmp_path / "CROMA_base.pt")
    theirs = module.PretrainedCROMA(str(tmp_path / "CROMA_base.pt"), "base", "both", 120).eval()
    image = official.noise(1, 14, 120, 120, seed=6)
    with torch.no_grad():
        found, expected = ours(image[:, 12:], image[:, :12]), theirs(image[:, 12:], image[:, :12])
    for ours_name, name in (("radar", "SAR"), ("optical", "optical"), ("joint", "joint")):
        torch.testing.assert_close(getattr(found, ours_name), expected[f"{name}_encodings"], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(getattr(found, f"{ours_name}_gap"), expected[f"{name}_GAP"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("heads", [8, 12, 16])
@pytest.mark.parametrize("side", [12, 15])
def test_bias_to_the_last_bit(folder: Path, heads: int, side: int) -> None:
    module = official.load(folder, "pretrain_croma")
    places = grid_positions((side, side), torch.device("cpu"))
    ours = Alibi(slopes(heads), places, places).dense(torch.float32)
    assert torch.equal(ours, module.get_alibi(attention_heads=heads, num_patches=side * side))
