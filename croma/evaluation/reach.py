"""How far the attention heads of a network look: mean distance between a patch and what it attends to.

As in the vision transformer's figure on attention distance (Dosovitskiy et al. 2021). ALiBi gives every head a distance
to begin with; the picture shows what training has made of it.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from croma.batches.batch import Batch
from croma.model.alibi import Alibi, grid_positions
from croma.model.croma import Croma
from croma.model.layers import CrossAttention, SelfAttention

PARTS = {
    "radar_encoder": "radar",
    "optical_encoder": "optical",
    "joint_encoder.attention": "joint, itself",
    "joint_encoder.cross": "joint, optical",
}
"""Where attention is, and what a picture calls it."""


class _Seen(NamedTuple):
    module: SelfAttention | CrossAttention
    inputs: tuple[Any, ...]


@torch.no_grad()
def attention_distances(model: Croma, batch: Batch) -> Mapping[str, Tensor]:
    """Mean distance in patches, (blocks, heads) by the names of `PARTS`: over all patches of all images of `batch`."""
    seen: dict[str, list[_Seen]] = {name: [] for name in PARTS.values()}
    model = model.cpu().eval()
    with ExitStack() as hooks:
        for name, module in _attentions(model):
            hook = module.register_forward_pre_hook(
                lambda module, inputs, name=name: seen[name].append(_Seen(module, inputs))
            )
            hooks.callback(hook.remove)
        model(radar=batch.radar, optical=batch.optical)
    height, width = batch.radar.shape[2] // model.spec.patch, batch.radar.shape[3] // model.spec.patch
    places = grid_positions((height, width), batch.radar.device)
    apart = torch.cdist(places, places)[0]
    return {name: torch.stack([_distance(each, apart) for each in blocks]) for name, blocks in seen.items() if blocks}


def _attentions(model: Croma) -> Iterator[tuple[str, nn.Module]]:
    for path, module in model.named_modules():
        if isinstance(module, (SelfAttention, CrossAttention)):
            encoder, kind = path.partition(".")[0], path.rpartition(".")[2]
            yield PARTS.get(encoder) or PARTS[f"{encoder}.{kind}"], module


def _distance(seen: _Seen, apart: Tensor) -> Tensor:
    """(heads,)."""
    module, inputs = seen
    tokens, context, bias = inputs if isinstance(module, CrossAttention) else (inputs[0], inputs[0], inputs[1])
    asking, asked = module.norm(tokens), module.norm(context)
    if isinstance(module, CrossAttention):
        query, key = module.query(asking), module.kv(asked).chunk(2, dim=-1)[0]
    else:
        query, key, _ = module.qkv(asking).chunk(3, dim=-1)
    query, key = (torch.unflatten(each, -1, (module.heads, -1)).transpose(1, 2) for each in (query, key))
    logits = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
    if bias is not None:
        logits = logits + (bias.dense(logits.dtype) if isinstance(bias, Alibi) else bias)
    distance: Tensor = (logits.softmax(-1) * apart).sum(-1).mean((0, 2))
    return distance
