from dataclasses import replace
from pathlib import Path

import pytest
import torch

from croma.errors import InputError
from croma.model.croma import Croma
from croma.model.spec import ModelSpec
from croma.model.weights import Card, load_card, load_weights, save_weights

SCALING = {
    "radar_mean": (-12.5, -20.25),
    "radar_std": (5.0, 6.0),
    "optical_mean": tuple(range(12)),
    "optical_std": (0.1,) * 12,
}


@pytest.fixture
def saved(tiny: ModelSpec, tmp_path: Path) -> tuple[Path, Croma, Card]:
    model = Croma(tiny)
    card = Card(model=tiny, normalisation=SCALING, provenance={"dataset": "world@3", "recipe": "demo"})
    path = tmp_path / "weights.safetensors"
    save_weights(path, model, card)
    return path, model, card


def test_weights_and_card_come_back(saved: tuple[Path, Croma, Card]) -> None:
    path, model, card = saved
    state = torch.get_rng_state()
    again, read = load_weights(path)
    assert torch.equal(torch.get_rng_state(), state)
    assert read == card == load_card(path)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
    radar = torch.rand(1, 2, 24, 16)
    assert torch.equal(model(radar).radar, again(radar).radar)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_failed_write_leaves_what_was_there(saved: tuple[Path, Croma, Card], monkeypatch: pytest.MonkeyPatch) -> None:
    path, model, card = saved
    before = path.read_bytes()

    def full_disk(*args: object, **kwargs: object) -> None:
        Path(args[1]).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_weights(path, model, card)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_card_that_lies_is_refused(saved: tuple[Path, Croma, Card]) -> None:
    path, model, card = saved
    with pytest.raises(ValueError, match="the card is of"):
        save_weights(path, model, replace(card, model=replace(card.model, encoder_heads=8)))
    with pytest.raises(ValueError, match=r"normalisation.radar_std has 1 numbers; the model has 2 channels"):
        save_weights(path, model, replace(card, normalisation=SCALING | {"radar_std": (1.0,)}))
    with pytest.raises(ValueError, match="normalisation has the fields"):
        save_weights(path, model, replace(card, normalisation={"radar_mean": (1.0, 2.0)}))


def test_unusable_files_are_told_apart(saved: tuple[Path, Croma, Card], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = saved[0]
    (tmp_path / "short").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        load_weights(tmp_path / "short")
    with pytest.raises(InputError, match="cannot be read"):
        load_weights(tmp_path / "absent")
    save_file({"a": torch.zeros(1)}, tmp_path / "bare")
    with pytest.raises(InputError, match="has no card"):
        load_card(tmp_path / "bare")
    save_file({"a": torch.zeros(1)}, tmp_path / "other", metadata={"croma": '{"format": "croma-weights/9"}'})
    with pytest.raises(InputError, match="another format"):
        load_card(tmp_path / "other")
    save_file({"a": torch.zeros(1)}, tmp_path / "empty", metadata={"croma": saved[2].to_json()})
    with pytest.raises(InputError, match="do not fit the card"):
        load_weights(tmp_path / "empty")
