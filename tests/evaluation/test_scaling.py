"""The ways in print to scale pixels for CROMA's released files, against each source's own few lines."""

from pathlib import Path

import numpy as np
import pytest
import torch

from croma.batches.batch import RawBatch
from croma.errors import InputError
from croma.evaluation import suite
from croma.evaluation.gate import Gate
from croma.evaluation.scaling import SSL4EO, Scaling
from croma.evaluation.spec import Bootstrap, EvalSpec, Linear
from croma.model.croma import Croma
from croma.model.published import load_published, save_published
from croma.model.spec import ModelSpec
from croma.model.weights import Card, load_weights, save_weights
from croma.sensors import SENTINEL_2_L2A
from croma.shards.ref import DatasetRef
from tests.evaluation.world import CONSTANTS

HEADS = 16
"""Of the released files: nothing in them says so."""


@pytest.fixture
def raw() -> RawBatch:
    """Four chips of 24 px, every pixel measured."""
    generator = torch.Generator().manual_seed(0)
    radar = (torch.randn(4, 2, 24, 24, generator=generator) * 4 - 13).half()
    optical = {
        step: torch.randint(1, 5000, (4, len(SENTINEL_2_L2A.at(step)), 240 // step, 240 // step), generator=generator)
        for step in SENTINEL_2_L2A.resolutions
    }
    stored = {step: plane.to(torch.uint16) for step, plane in optical.items()}
    return RawBatch(radar=radar, optical=stored, keys=torch.arange(4), ids=("a", "b", "c", "d"))


def pixels(raw: RawBatch) -> dict[str, np.ndarray]:
    """Stored units at 10 m, (b, bands, 24, 24)."""
    optical = np.zeros((4, 12, 24, 24), np.float32)
    for step, plane in raw.optical.items():
        factor = step // 10
        optical[:, list(SENTINEL_2_L2A.at(step))] = plane.numpy().repeat(factor, 2).repeat(factor, 3)
    return {"radar": raw.radar.float().numpy(), "optical": optical}


def readme(images: np.ndarray) -> np.ndarray:
    """The loop of `use_croma.py`'s README over channels: statistics of the batch, 8 bits, then a division by 255."""
    done = []
    for channel in range(images.shape[1]):
        values = images[:, channel]
        low, high = values.mean() - 2 * values.std(ddof=1), values.mean() + 2 * values.std(ddof=1)
        done.append(np.clip((values - low) / (high - low) * 255, 0, 255).astype(np.uint8))
    return np.stack(done, axis=1) / 255


def test_as_the_readme_does_it(raw: RawBatch) -> None:
    found = Scaling(variant="readme", constants={}, batch=4).images(raw, 24)
    for sensor, images in pixels(raw).items():
        gaps = np.abs(getattr(found, sensor).numpy() - readme(images))
        assert gaps.max() <= 1 / 255 + 1e-6  # where rounding falls on the other side
        assert (gaps < 1e-6).mean() > 0.999


def test_as_the_paper_does_it(raw: RawBatch) -> None:
    found = Scaling(variant="paper", constants={}).images(raw, 24)
    for sensor, images in pixels(raw).items():
        mean, std = (np.array(SSL4EO[f"{sensor}_{kind}"], np.float32)[:, None, None] for kind in ("mean", "std"))
        expected = np.clip((images - (mean - 2 * std)) / (4 * std) * 255, 0, 255).astype(np.uint8) / 255
        gaps = np.abs(getattr(found, sensor).numpy() - expected)
        assert gaps.max() <= 1 / 255 + 1e-6
        assert (gaps < 1e-6).mean() > 0.999


def test_as_torchgeo_leaves_it(raw: RawBatch) -> None:
    raw.radar[0, 0, 0, 0] = torch.nan
    found = Scaling(variant="torchgeo", constants={}).images(raw, 24)
    expected = pixels(raw)
    np.testing.assert_array_equal(found.radar.numpy(), np.nan_to_num(expected["radar"]))
    np.testing.assert_array_equal(found.optical.numpy(), expected["optical"])


def test_vectors_of_another_way_are_kept_apart() -> None:
    ways = [Scaling(constants=CONSTANTS), Scaling(variant="readme", constants=CONSTANTS, batch=8)]
    ways += [Scaling(variant="readme", constants=CONSTANTS, batch=4), Scaling(variant="paper", constants=CONSTANTS)]
    assert len({str(way.identity) for way in ways}) == 4


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """One network as released and as ours; ours carries the constants of the paper's way."""
    torch.manual_seed(3)
    spec = ModelSpec(encoder_dim=32, encoder_depth=2, encoder_heads=HEADS, image=120)
    model = Croma(spec)
    released, ours = tmp_path / "CROMA_tiny.pt", tmp_path / "weights.safetensors"
    save_published(model, released)
    save_weights(ours, model, Card(model=spec, normalisation=dict(SSL4EO)))
    return released, ours


SPEC = EvalSpec(
    protocols=(Linear(inverse_penalties=(0.1,)),),
    baselines=("untrained",),
    bootstrap=Bootstrap(draws=20, block_km=1.0),
    gate=Gate(beats=(), on=()),
    image=48,
)


def test_a_released_file_is_judged_exactly_as_ours(
    both: tuple[Path, Path], tiny_ref: DatasetRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "draw_pictures", lambda *_: {})
    monkeypatch.setattr("croma.evaluation.scaling._eight_bits", lambda images: images)
    released, ours = both
    first, second = load_published(released).state_dict(), load_weights(ours)[0].state_dict()
    assert all(torch.equal(first[name], second[name]) for name in second)
    paper = SPEC.model_copy(update={"normalisation": "paper"})
    theirs = suite.evaluate(paper, str(released), tiny_ref, str(tmp_path), name="x")
    own = suite.evaluate(SPEC, str(ours), tiny_ref, str(tmp_path), name="x")
    assert {score.normalisation for score in theirs.scores} == {"paper"}
    assert {score.normalisation for score in own.scores} == {"own"}
    unnamed = [
        tuple(score.model_copy(update={"normalisation": "own"}) for score in card.scores) for card in (theirs, own)
    ]
    assert unnamed[0] == unnamed[1]
    assert theirs.margins == own.margins


@pytest.mark.parametrize("way", ["readme", "torchgeo"])
def test_the_way_is_written_into_every_score(
    both: tuple[Path, Path], tiny_ref: DatasetRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(suite, "draw_pictures", lambda *_: {})
    spec = SPEC.model_copy(update={"normalisation": way, "baselines": ("untrained", "band-statistics")})
    card = suite.evaluate(spec, str(both[0]), tiny_ref, str(tmp_path), name="x")
    assert {score.normalisation for score in card.scores if score.encoder != "band-statistics"} == {way}
    assert {score.normalisation for score in card.scores if score.encoder == "band-statistics"} == {"none"}


def test_released_weights_ask_for_a_way(both: tuple[Path, Path], tiny_ref: DatasetRef, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="readme, paper or torchgeo"):
        suite.evaluate(SPEC, str(both[0]), tiny_ref, str(tmp_path), name="x")
