"""Our names of the published pretraining code's tensors (`CROMA(...).state_dict()`), for tests alone."""

import torch
from torch import Tensor

from croma.model.published import PARTS, published_names
from croma.objectives.croma import CromaObjective

OFFICIAL_PREFIX = {
    "s1_encoder": "radar_encoder.",
    "s1_GAP_FFN": "GAP_FFN_radar.",
    "s2_encoder": "optical_encoder.",
    "s2_GAP_FFN": "GAP_FFN_optical.",
    "joint_encoder": "cross_encoder.",
}
_HEADS = {
    "log_scale": "global_contrast_loss.logit_scale",
    "radar_projection.linear": "global_contrast_loss.radar_proj",
    "optical_projection.linear": "global_contrast_loss.optical_proj",
    "decoder.mask_token": "decoder.mask_token",
    "decoder.embed": "decoder.encoder_to_decoder",
    "decoder.predict": "decoder.linear_output",
    "decoder.norm": "decoder.decoder.norm_out",
}


def official_names(name: str) -> tuple[str, ...]:
    """The published pretraining names of our objective's parameter `name`; two where ours joins two of theirs."""
    for part, attribute in PARTS.items():
        prefix = f"model.{attribute}."
        if name.startswith(prefix):
            released = published_names(part, name.removeprefix(prefix))
            return tuple(OFFICIAL_PREFIX[part] + _pretraining(part, one) for one in released)
    if name in _HEADS:
        return (_HEADS[name],)
    if name.startswith("decoder.blocks."):
        (released,) = published_names("s1_encoder", name.removeprefix("decoder."))
        return ("decoder.decoder." + _pretraining("s1_encoder", released).removeprefix("transformer."),)
    stem, kind = name.rsplit(".", 1)
    return (f"{_HEADS[stem]}.{kind}",)


def to_official(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by our names (weights or gradients) under the published names."""
    renamed = {}
    for name, tensor in tensors.items():
        names = official_names(name)
        renamed |= dict(zip(names, tensor.chunk(len(names)) if len(names) > 1 else (tensor,), strict=True))
    return renamed


def load_official(objective: CromaObjective, state: dict[str, Tensor]) -> None:
    """Fills `objective` with published pretraining weights, all of them."""
    ours = {}
    used = {"decoder.decoder_pos_embed"}
    for name in objective.state_dict():
        names = official_names(name)
        used |= set(names)
        ours[name] = torch.cat([state[one] for one in names]) if len(names) > 1 else state[names[0]]
    assert used == set(state), used ^ set(state)
    objective.load_state_dict(ours, strict=True)


def _pretraining(part: str, released: str) -> str:
    """The name in the pretraining file of the tensor that the release calls `released`."""
    if part.endswith("GAP_FFN"):
        return released
    for release, pretraining in (
        ("to_qkv", "create_qkv"),
        ("to_q.", "create_q."),
        ("to_k.", "create_k."),
        ("to_v.", "create_v."),
        (".net.3.", ".net.2."),
    ):
        released = released.replace(release, pretraining)
    return released.replace(".0.to_out.", ".0.out.")
