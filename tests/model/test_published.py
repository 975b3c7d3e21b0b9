import pickle
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from croma.errors import InputError
from croma.model.croma import Croma
from croma.model.published import export_parts, import_parts, load_published, save_published
from croma.model.spec import BASE, ModelSpec

SPEC = ModelSpec(encoder_dim=32, encoder_depth=4, decoder_dim=8, decoder_heads=2)


def test_tensor_counts_are_the_released_ones() -> None:
    parts = export_parts(Croma(replace(BASE, encoder_dim=16)))
    counts = {"s1_encoder": 70, "s1_GAP_FFN": 6, "s2_encoder": 136, "s2_GAP_FFN": 6, "joint_encoder": 110}
    assert {part: len(tensors) for part, tensors in parts.items()} == counts


def test_out_and_in_again(tmp_path: Path) -> None:
    model = Croma(SPEC)
    save_published(model, tmp_path / "CROMA.pt")
    again = load_published(tmp_path / "CROMA.pt")
    assert again.spec == replace(SPEC, decoder_dim=512, decoder_heads=8)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
    radar, optical = torch.rand(1, 2, 24, 24), torch.rand(1, 12, 24, 24)
    assert all(torch.equal(one, two) for one, two in zip(model(radar, optical), again(radar, optical), strict=True))
    assert [p.name for p in tmp_path.iterdir()] == ["CROMA.pt"]


def test_other_sizes_are_exported_with_a_warning(tiny: ModelSpec) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_parts(Croma(SPEC))
        with pytest.raises(UserWarning, match=r"use_croma.py .* \(patch=4\)"):
            export_parts(Croma(tiny))
    with pytest.warns(UserWarning, match="patch=4"):
        parts = export_parts(Croma(tiny))
    assert import_parts(parts, tiny).spec == tiny


def test_every_misfit_is_listed() -> None:
    parts = export_parts(Croma(SPEC))
    del parts["s1_encoder"]["transformer.layers.0.0.to_qkv.weight"]
    parts["joint_encoder"]["layers.0.1.to_k.weight"] = torch.zeros(3, 3)
    parts["s2_GAP_FFN"]["4.weight"] = torch.zeros(1)
    with pytest.raises(InputError) as caught:
        import_parts(parts)
    assert caught.value.problems == (
        "s1_encoder.transformer.layers.0.0.to_qkv.weight: missing",
        "s2_GAP_FFN.4.weight: unexpected",
        "joint_encoder.layers.0.1.to_k.weight: shape (3, 3), expected (32, 32)",
    )


def test_other_files_are_refused_unexecuted(tmp_path: Path) -> None:
    (tmp_path / "code.pt").write_bytes(pickle.dumps(Path.touch))
    with pytest.raises(InputError, match="not a torch file of tensors alone"):
        load_published(tmp_path / "code.pt")
    with pytest.raises(InputError, match="cannot be read"):
        load_published(tmp_path / "absent.pt")
    torch.save({"model": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"not CROMA's released format: joint_encoder, .* found \['model'\]"):
        load_published(tmp_path / "other.pt")
    torch.save(torch.zeros(1), tmp_path / "tensor.pt")
    with pytest.raises(InputError, match="holds a Tensor"):
        load_published(tmp_path / "tensor.pt")
