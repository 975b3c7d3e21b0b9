from dataclasses import replace

import pytest
import torch

from croma.errors import InputError
from croma.model import attention, layers
from croma.model.alibi import grid_positions, sincos
from croma.model.croma import Croma
from croma.model.decoder import Decoder
from croma.model.layers import Stack, recompute_activations
from croma.model.masking import TokenMask
from croma.model.published import export_parts
from croma.model.spec import BASE, LARGE, ModelSpec


@pytest.mark.parametrize(
    ("spec", "counts"),
    [
        (BASE, {"radar_encoder": 42_614_016, "optical_encoder": 85_618_944, "joint_encoder": 56_684_544}),
        (LARGE, {"radar_encoder": 151_251_968, "optical_encoder": 303_025_152, "joint_encoder": 201_488_384}),
    ],
)
def test_sizes_are_the_published_ones(spec: ModelSpec, counts: dict[str, int]) -> None:
    with torch.device("meta"):
        model = Croma(spec)
        decoder = Decoder(spec)
    assert {name: sum(p.numel() for p in model.get_submodule(name).parameters()) for name in counts} == counts
    total = sum(p.numel() for p in model.parameters())
    assert total == {768: 194_365_440, 1024: 672_557_056}[spec.encoder_dim]
    assert sum(p.numel() for p in decoder.parameters()) == {768: 4_005_760, 1024: 4_136_832}[spec.encoder_dim]


def test_encodes_one_sensor_or_both(tiny: ModelSpec) -> None:
    model = Croma(tiny)
    radar, optical = torch.rand(2, 2, 24, 16), torch.rand(2, 12, 24, 16)
    both = model(radar, optical)
    assert [tuple(part.shape) for part in both] == [(2, 24, 48)] * 3 + [(2, 48)] * 3
    alone = model(optical=optical)
    assert torch.equal(alone.optical_gap, both.optical_gap)
    assert (alone.radar, alone.joint, alone.radar_gap, alone.joint_gap) == (None, None, None, None)
    torch.testing.assert_close(both.joint_gap, both.joint.mean(1))
    with pytest.raises(ValueError, match="nothing to encode"):
        model()
    with pytest.raises(ValueError, match="they show one place"):
        model(radar, optical[..., :8])


def test_hidden_pixels_have_no_effect(tiny: ModelSpec) -> None:
    encoder = Croma(tiny).optical_encoder
    image, keep = torch.rand(1, 12, 24, 16), torch.tensor([[3, 0, 22]])
    spoilt = torch.full_like(image, torch.nan)
    for patch in keep[0].tolist():
        rows, columns = slice(4 * (patch // 4), 4 * (patch // 4) + 4), slice(4 * (patch % 4), 4 * (patch % 4) + 4)
        spoilt[..., rows, columns] = image[..., rows, columns]
    assert torch.equal(encoder(image, keep), encoder(spoilt, keep))


def test_order_of_the_seen_patches_does_not_matter(tiny: ModelSpec) -> None:
    encoder = Croma(tiny).optical_encoder
    image, keep, order = torch.rand(1, 12, 24, 16), torch.tensor([[3, 0, 22, 7]]), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(encoder(image, keep[:, order]), encoder(image, keep)[:, order])


def test_keeping_every_patch_is_the_unmasked_pass(tiny: ModelSpec) -> None:
    encoder = Croma(tiny).radar_encoder
    image = torch.rand(2, 2, 24, 16)
    torch.testing.assert_close(encoder(image, torch.arange(24).expand(2, -1)), encoder(image))


def test_joint_self_bias_matters_only_where_the_masks_differ(tiny: ModelSpec) -> None:
    official = Croma(tiny)
    paper = Croma(replace(tiny, joint_self_bias="paper"))
    paper.load_state_dict(official.state_dict())
    radar, optical = torch.rand(2, 2, 24, 16), torch.rand(2, 12, 24, 16)
    assert torch.equal(official(radar, optical).joint, paper(radar, optical).joint)

    one, other = (TokenMask.from_noise(torch.rand(2, 24), 0.75) for _ in range(2))
    tokens, context = official.radar_encoder(radar, one.keep), official.optical_encoder(optical, other.keep)
    assert torch.equal(official.join(tokens, context, one, one), paper.join(tokens, context, one, one))
    assert not torch.allclose(official.join(tokens, context, one, other), paper.join(tokens, context, one, other))


def test_a_large_image_is_encoded_without_a_dense_bias(tiny: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Croma(tiny).eval()
    radar, optical = torch.rand(1, 2, 40, 64), torch.rand(1, 12, 40, 64)
    with torch.no_grad():
        dense = model(radar, optical)
        monkeypatch.setattr(attention, "DENSE_LIMIT", 1)
        chunked = model(radar, optical)
    for one, other in zip(dense, chunked, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("narrow", [False, True])
def test_recomputing_activations_changes_no_gradient(tiny: ModelSpec, narrow: bool) -> None:
    model = Croma(tiny)
    radar, optical = torch.rand(2, 2, 24, 16), torch.rand(2, 12, 24, 16)
    gradients = []
    for enabled in (False, True):
        recompute_activations(model, enabled)
        assert all(part.recompute == enabled for part in model.modules() if isinstance(part, Stack))
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            joint = model(radar, optical).joint
        joint.float().square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_autocast_keeps_tokens_narrow_and_close(tiny: ModelSpec) -> None:
    model = Croma(tiny)
    radar, optical = torch.rand(2, 2, 24, 16), torch.rand(2, 12, 24, 16)
    exact = model(radar, optical)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = model(radar, optical)
    assert narrow.joint.dtype == torch.bfloat16
    assert (narrow.joint.float() - exact.joint).abs().max() < 0.1 * exact.joint.std()


def test_vectors_cast_together_are_those_cast_alone(tiny: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Croma(tiny)
    radar, optical = torch.rand(2, 2, 24, 16), torch.rand(2, 12, 24, 16)
    found = []
    for narrow in (layers._narrow_vectors, lambda module, dtype: {}):
        monkeypatch.setattr(layers, "_narrow_vectors", narrow)
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            joint = model(radar, optical).joint
        joint.float().square().mean().backward()
        found.append([joint, *(p.grad for p in model.parameters() if p.grad is not None)])
    (joint, *gradients), (expected, *others) = found
    assert torch.equal(joint, expected)
    # A norm that serves twice sums its two gradients before they are widened.
    for one, other in zip(gradients, others, strict=True):
        assert (one - other).abs().max() <= 2**-7 * other.abs().max()


@pytest.mark.slow
def test_compiles_in_one_piece(tiny: ModelSpec) -> None:
    model = Croma(tiny)
    radar, optical = torch.rand(2, 2, 24, 16), torch.rand(2, 12, 24, 16)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(radar, optical).joint, model(radar, optical).joint)


def test_the_decoder_puts_tokens_where_they_came_from(tiny: ModelSpec) -> None:
    decoder = Decoder(tiny)
    mask = TokenMask.from_noise(torch.rand(2, 24), 0.75)
    placed = []
    decoder.blocks = torch.nn.Identity()
    decoder.norm.register_forward_hook(lambda module, inputs, output: placed.append(inputs[0]))
    joint = torch.rand(2, 6, 48)
    decoder(joint, mask)
    tokens = placed[0] - decoder.places
    torch.testing.assert_close(
        tokens[~mask.hidden],
        decoder.embed(joint).take_along_dim(mask.keep.argsort(dim=1)[..., None], dim=1).flatten(0, 1),
    )
    torch.testing.assert_close(tokens[mask.hidden], decoder.mask_token[0].expand(36, -1))


def test_sines_and_cosines_take_the_place_of_the_bias(tiny: ModelSpec) -> None:
    model = Croma(replace(tiny, positions="sincos"))
    radar, optical = torch.rand(2, 2, 24, 16), torch.rand(2, 12, 24, 16)
    found = model(radar, optical)
    keep = torch.tensor([[5, 1, 20], [0, 3, 4]])
    assert model.optical_encoder(optical, keep).shape == (2, 3, 48)
    for name in ("radar_encoder", "optical_encoder", "joint_encoder"):
        getattr(model, name).slopes.fill_(9.0)
    assert torch.equal(model(radar, optical).joint, found.joint)
    # Without any position a network could not tell an image from one with its patches moved.
    moved = model(optical=optical.roll(4, dims=3)).optical_gap
    assert (moved - found.optical_gap).abs().max() > 1e-4
    with pytest.raises(InputError, match="knows no positions=sincos"):
        export_parts(model)


def test_positions_tell_columns_then_rows() -> None:
    places = sincos(grid_positions((3, 5), torch.device("cpu")), 16)[0].view(3, 5, 16)
    assert torch.equal(places[0, :, :8], places[2, :, :8])
    assert torch.equal(places[:, 0, 8:], places[:, 4, 8:])
    assert len({tuple(place) for place in places.flatten(0, 1).tolist()}) == 15
