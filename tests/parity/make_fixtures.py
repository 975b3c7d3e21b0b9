"""Makes `fixtures/published.safetensors` with the published code.

    CROMA_OFFICIAL=<checkout of antofuller/CROMA at 59505a6> python -m tests.parity.make_fixtures

A small network (32 wide, 4 deep, 16 heads; sizes that the code hard-codes are kept: 14 channels, 8 px patches, 120 px)
with PyTorch's initial weights after `torch.manual_seed(0)`, two images and masks of integer noise. Stored are weights,
masks, what every stage gives, both losses and all gradients; then encodings of whole images at 120 and at 504 px.
Losses are the published ones because every stage is run by the published forward pass; hooks only listen.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.parity import official

PATH = Path(__file__).parent / "fixtures" / "published.safetensors"
SIZES = {"encoder_dim": 32, "encoder_layers": 4, "attention_heads": 16, "decoder_dim": 16, "decoder_layers": 1}
TOKENS, KEPT, BATCH = 225, 56, 2


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """Images (2, 14, 120, 120), and the patches kept of radar and of optical, each (2, 56)."""
    images = official.noise(BATCH, 14, 120, 120, seed=1)
    keeps = [official.noise(BATCH, TOKENS, seed=seed).argsort(dim=1)[:, :KEPT] for seed in (2, 3)]
    return images, keeps[0], keeps[1]


def pretraining(module: Any, model: Any) -> dict[str, Tensor]:
    """Stages, losses and gradients of one pretraining pass."""
    images, radar_keep, optical_keep = inputs()
    stages: dict[str, Tensor] = {}

    def listen(name: str) -> Any:
        return lambda _module, _inputs, output: stages.update({f"stage.{name}": output.detach().clone()})

    for name in ("radar_encoder", "optical_encoder", "GAP_FFN_radar", "GAP_FFN_optical", "cross_encoder"):
        model.get_submodule(name).register_forward_hook(listen(name))
    for name in ("global_contrast_loss.radar_proj", "global_contrast_loss.optical_proj", "decoder.linear_output"):
        model.get_submodule(name).register_forward_hook(listen(name))
    contrast, error = model(
        images, official.mask_info(radar_keep, TOKENS), official.mask_info(optical_keep, TOKENS), rank=0, world_size=1
    )
    (contrast + error).backward()
    stages["stage.decoder.linear_output"] = stages["stage.decoder.linear_output"][:, ::15]
    return {
        "loss.contrast": contrast.detach(),
        "loss.reconstruction": error.detach(),
        **stages,
        **{f"weight.{name}": tensor for name, tensor in model.state_dict().items()},
        **{f"gradient.{name}": p.grad for name, p in model.named_parameters() if p.grad is not None},
    }


@torch.no_grad()
def inference(module: Any, model: Any, size: int, step: int) -> dict[str, Tensor]:
    """Encodings of one whole image of `size` px, every `step`-th token of them."""
    image = official.noise(1, 14, size, size, seed=size)
    bias = module.get_alibi(attention_heads=16, num_patches=(size // 8) ** 2)
    radar = model.radar_encoder(imgs=image[:, 12:], attn_bias=bias)
    optical = model.optical_encoder(imgs=image[:, :12], attn_bias=bias)
    joint = model.cross_encoder(x=radar, context=optical, alibi=bias)
    return {
        f"whole.{size}.radar": radar[:, ::step],
        f"whole.{size}.optical": optical[:, ::step],
        f"whole.{size}.joint": joint[:, ::step],
        f"whole.{size}.radar_gap": model.GAP_FFN_radar(radar.mean(dim=1)),
        f"whole.{size}.optical_gap": model.GAP_FFN_optical(optical.mean(dim=1)),
    }


def biases(module: Any) -> dict[str, Tensor]:
    """Rows of the attention bias: of whole grids for several numbers of heads, and of a masked one."""
    rows = {
        f"bias.{heads}.{tokens}": module.get_alibi(attention_heads=heads, num_patches=tokens)[0, :, tokens // 3]
        for heads in (8, 12, 16)
        for tokens in (144, 225)
    }
    _, radar_keep, optical_keep = inputs()
    masked = module.apply_mask_to_alibi(
        alibi=module.get_alibi(attention_heads=16, num_patches=TOKENS),
        ids_keep_queries=radar_keep,
        ids_keep_keys=optical_keep,
        batch_size=BATCH,
        orig_seq_len=TOKENS,
        masked_seq_len=KEPT,
        attention_heads=16,
    )
    return {**rows, "bias.masked": masked[:, :, ::8]}


def main() -> None:
    folder = official.checkout()
    if folder is None:
        raise SystemExit(f"set CROMA_OFFICIAL to a checkout of antofuller/CROMA at {official.COMMIT}")
    module = official.load(folder, "pretrain_croma")
    torch.manual_seed(0)
    model = module.CROMA(**SIZES)
    tensors = pretraining(module, model) | biases(module)
    for size, step in ((120, 5), (504, 63)):
        tensors |= inference(module, model, size, step)
    save_file(
        {name: tensor.contiguous().clone() for name, tensor in tensors.items()},
        PATH,
        metadata={"code": f"antofuller/CROMA@{official.COMMIT}", "torch": torch.__version__},
    )


if __name__ == "__main__":
    main()
