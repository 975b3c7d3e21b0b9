from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from croma.batches.batch import Batch
from croma.errors import InputError
from croma.evaluation import figures
from croma.evaluation.reconstruct import reconstruct
from croma.evaluation.sources import open_weights
from croma.model.croma import Croma
from croma.model.decoder import Decoder
from croma.model.decoder_file import NAME, Reconstruction, load_decoder, save_decoder
from croma.model.masking import TokenMask
from croma.model.patches import patchify
from croma.objectives.reconstruction import normalise
from tests.evaluation.world import SPEC, make_weights

OWN = replace(SPEC, joint_self_bias="paper")
TASK = Reconstruction(radar_mask_ratio=0.75, optical_mask_ratio=0.5, target_norm="official")


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(
        radar=torch.rand(2, 2, 48, 48, generator=generator),
        optical=torch.rand(2, 12, 48, 48, generator=generator),
        keys=torch.arange(2),
    )


class Knowing(Decoder):
    """Says the target itself: what a perfect decoder says."""

    def __init__(self, batch: Batch, task: Reconstruction) -> None:
        super().__init__(SPEC)
        parts = [patchify(batch.optical, 8), patchify(batch.radar, 8)]
        together = normalise(torch.cat(parts, dim=2))
        self.answer = together if task.target_norm == "official" else torch.cat([*map(normalise, parts)], dim=2)

    def forward(self, joint: torch.Tensor, mask: TokenMask) -> torch.Tensor:
        return self.answer


@pytest.mark.parametrize("norm", ["official", "paper"])
def test_a_perfect_decoder_gives_the_image_back(batch: Batch, norm: str) -> None:
    task = Reconstruction(radar_mask_ratio=0.75, optical_mask_ratio=0.5, target_norm=norm)  # type: ignore[arg-type]
    radar, optical = reconstruct(Croma(OWN), Knowing(batch, task), task, batch)
    torch.testing.assert_close(radar.filled, batch.radar, atol=1e-3, rtol=0)
    torch.testing.assert_close(optical.filled, batch.optical, atol=1e-3, rtol=0)


def test_seen_patches_are_shown_and_kept(batch: Batch) -> None:
    radar, optical = reconstruct(Croma(OWN), Decoder(SPEC), TASK, batch)
    for true, found, hidden in ((batch.radar, radar, 27), (batch.optical, optical, 18)):
        seen = ~found.shown.isnan()
        assert (~seen[:, 0]).sum((1, 2)).tolist() == [hidden * 64] * 2
        torch.testing.assert_close(found.filled[seen], true[seen])
        assert found.filled.isfinite().all()
        assert (found.filled[~seen] != true[~seen]).any()


def test_a_decoder_survives_its_file(tmp_path: Path) -> None:
    decoder = Decoder(SPEC)
    save_decoder(tmp_path / NAME, decoder, TASK)
    again, task = load_decoder(tmp_path / NAME, SPEC)
    assert task == TASK
    for name, tensor in decoder.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=0, atol=0)
    with open_weights(str(make_weights(tmp_path / "weights.safetensors"))) as source:
        assert source.decoder is not None
        assert source.decoder[1] == TASK


def test_a_damaged_or_foreign_decoder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b"not safetensors")
    with pytest.raises(InputError, match="cannot be read as the decoder"):
        load_decoder(path, SPEC)
    save_decoder(path, Decoder(SPEC), TASK)
    with pytest.raises(InputError, match="cannot be read as the decoder"):
        load_decoder(path, type(SPEC)(encoder_dim=64, encoder_depth=2, encoder_heads=4, image=48))


def test_hidden_pixels_are_grey() -> None:
    image = np.full((12, 4, 4), 0.2, np.float32)
    image[:, 0] = np.nan
    shown = figures.from_normalised(image)
    assert (shown[0] == 0.5).all()
    np.testing.assert_allclose(shown[1:], 0.2)
