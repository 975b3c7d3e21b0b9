"""The decoder on disk, beside the weights: not needed to use a model, but to see what it has learnt to fill in."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from croma.errors import InputError
from croma.model.decoder import Decoder
from croma.model.spec import Departure, ModelSpec

NAME = "decoder.safetensors"
"""Name of the file in the folder of the weights."""

_HEADER = "croma-decoder"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconstruction:
    """What the decoder was trained to do."""

    radar_mask_ratio: float
    optical_mask_ratio: float
    target_norm: Departure
    """`official`: patches were normalised over both sensors together. `paper`: each sensor by itself."""


def save_decoder(path: Path, decoder: Decoder, task: Reconstruction) -> None:
    """Writes the decoder to `path`, whole or not at all."""
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in decoder.state_dict().items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, temporary, metadata={_HEADER: json.dumps(asdict(task), sort_keys=True)})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_decoder(path: Path, spec: ModelSpec) -> tuple[Decoder, Reconstruction]:
    """The decoder in the file at `path`, for networks of `spec`.

    Raises:
        InputError: the file is damaged, or the decoder of another network.
    """
    from safetensors import SafetensorError, safe_open

    with torch.random.fork_rng(devices=[]):
        decoder = Decoder(spec)
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, Any] = json.loads((file.metadata() or {})[_HEADER])
            decoder.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 not a dict
        return decoder, Reconstruction(**header)
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as the decoder of these weights ({error})") from None
