"""CROMA's released format, in and out: one torch file with five state dicts.

Read by the authors' `use_croma.py` and by torchgeo's `CROMA`; the files on their hub (`CROMA_base.pt`,
`CROMA_large.pt`) have it. Names and shapes after antofuller/CROMA at 59505a6 and torchgeo 0.8.
"""

import math
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from croma.errors import InputError
from croma.model.croma import Croma
from croma.model.networks import Network
from croma.model.spec import ModelSpec

Parts = dict[str, dict[str, Tensor]]
"""Part name to state dict."""

PARTS = {
    "s1_encoder": "radar_encoder",
    "s1_GAP_FFN": "radar_pool",
    "s2_encoder": "optical_encoder",
    "s2_GAP_FFN": "optical_pool",
    "joint_encoder": "joint_encoder",
}
"""Names in the file, and of our modules."""

_Names = dict[str, tuple[str, ...]]
_ATTENTION: _Names = {"norm": ("input_norm",), "qkv": ("to_qkv",), "out": ("to_out",)}
_CROSS: _Names = {"norm": ("input_norm",), "query": ("to_q",), "kv": ("to_k", "to_v"), "out": ("to_out",)}
_FEEDFORWARD: _Names = {"norm": ("input_norm",), "up": ("net.0",), "down": ("net.3",)}
_POOL = {"norm": "0", "up": "1", "down": "3"}


def export_parts(model: Croma) -> Parts:
    """The weights of `model` as the released files hold them: float32 copies on the CPU.

    Raises:
        InputError: the network has positions that no reader of that format knows.
    """
    if model.spec.positions != "alibi":
        raise InputError(f"CROMA's released format knows no positions={model.spec.positions}: export as safetensors")
    _warn_of_fixed_sizes(model.spec)
    parts: Parts = {}
    for part, attribute in PARTS.items():
        parts[part] = {}
        for name, tensor in model.get_submodule(attribute).state_dict().items():
            names = published_names(part, name)
            for piece, published in zip(tensor.chunk(len(names)), names, strict=True):
                parts[part][published] = piece.detach().to("cpu", torch.float32, copy=True).contiguous()
    return parts


def import_parts(parts: Parts, spec: ModelSpec | None = None) -> Croma:
    """A model with released weights.

    Args:
        parts: what the file holds.
        spec: needed only where heads are not 16, radar channels not 2, or pretraining images not 120 px; the rest
            follows from the tensors' shapes.

    Raises:
        InputError: lists the parts and tensors that are missing, unexpected or of another shape.
    """
    if absent := sorted(PARTS.keys() - parts.keys()):
        raise InputError(f"not CROMA's released format: {', '.join(absent)} missing, found {sorted(parts)}")
    with torch.random.fork_rng(devices=[]):
        model = Croma(spec or _inferred_spec(parts))
    problems: list[str] = []
    for part, attribute in PARTS.items():
        problems += _fill(model.get_submodule(attribute), part, dict(parts[part]))
    if problems:
        raise InputError(*problems)
    return model


def save_published(model: Network, path: Path) -> None:
    """Writes the released format to `path`, whole or not at all.

    Raises:
        InputError: the network is not CROMA.
    """
    if not isinstance(model, Croma):
        raise InputError("only CROMA has a released format: export these weights as safetensors")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(export_parts(model), temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_published(path: Path, spec: ModelSpec | None = None) -> Croma:
    """The model in the released file at `path`; see `import_parts`. Nothing in the file is executed."""
    try:
        parts: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(f"{path}: not a torch file of tensors alone: {str(error).splitlines()[0]}") from None
    if not isinstance(parts, dict):
        raise InputError(f"{path}: holds a {type(parts).__name__}; CROMA's released format is a dict of five parts")
    return import_parts(parts, spec)


def published_names(part: str, name: str) -> tuple[str, ...]:
    """The released name of our tensor `name` in `part`; two names where ours joins two of theirs."""
    fields = name.split(".")
    if part.endswith("GAP_FFN"):
        return (f"{_POOL[fields[0]]}.{fields[1]}",)
    outer = "" if part == "joint_encoder" else "transformer."
    if fields[0] == "embed":
        return (f"linear_input.{fields[1]}",)
    if fields[0] == "norm":
        return (f"{outer}norm_out.{fields[1]}",)
    _, block, sublayer, tensor, kind = fields
    sublayers = {"attention": (0, _ATTENTION), "feedforward": (1, _FEEDFORWARD)}
    if part == "joint_encoder":
        sublayers = {"attention": (0, _ATTENTION), "cross": (1, _CROSS), "feedforward": (2, _FEEDFORWARD)}
    number, table = sublayers[sublayer]
    return tuple(f"{outer}layers.{block}.{number}.{published}.{kind}" for published in table[tensor])


def _fill(module: nn.Module, part: str, tensors: dict[str, Tensor]) -> list[str]:
    """Copies `tensors` into `module`; returns what did not fit."""
    problems = []
    for name, target in module.state_dict().items():
        names = published_names(part, name)
        pieces = [tensors.pop(published, None) for published in names]
        for published, piece in zip(names, pieces, strict=True):
            wanted = (target.shape[0] // len(names), *target.shape[1:])
            if piece is None:
                problems.append(f"{part}.{published}: missing")
            elif tuple(piece.shape) != wanted:
                problems.append(f"{part}.{published}: shape {tuple(piece.shape)}, expected {wanted}")
        if not problems:
            target.copy_(torch.cat([piece for piece in pieces if piece is not None]))
    return problems + [f"{part}.{name}: unexpected" for name in tensors]


def _inferred_spec(parts: Parts) -> ModelSpec:
    try:
        dim, radar_pixels = parts["s1_encoder"]["linear_input.weight"].shape
        _, optical_pixels = parts["s2_encoder"]["linear_input.weight"].shape
    except KeyError as error:
        raise InputError(f"not CROMA's released format: tensor {error} is missing") from None
    patch = math.isqrt(radar_pixels // 2)
    depth = len({name.split(".")[2] for name in parts["s2_encoder"] if name.startswith("transformer.layers.")})
    return ModelSpec(
        encoder_dim=dim, encoder_depth=depth, patch=patch, image=15 * patch, optical_channels=optical_pixels // patch**2
    )


def _warn_of_fixed_sizes(spec: ModelSpec) -> None:
    fixed = {"encoder_heads": 16, "patch": 8, "radar_channels": 2, "optical_channels": 12}
    others = [f"{name}={getattr(spec, name)}" for name, value in fixed.items() if getattr(spec, name) != value]
    if others:
        warnings.warn(
            f"the authors' use_croma.py has 16 heads, 8 px patches, 2 and 12 channels built in, and computes something "
            f"else from these weights ({', '.join(others)}); torchgeo's CROMA takes these sizes as arguments",
            stacklevel=3,
        )
