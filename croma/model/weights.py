"""Weights on disk: safetensors, with a card in the file's header that says how to use them and where they are from."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from croma.errors import InputError
from croma.model.networks import Network, build_network
from croma.model.towers_spec import NetworkSpec, network_spec

FORMAT = "croma-weights/1"
_HEADER = "croma"


Normalisation = dict[str, tuple[float, ...]]
"""The fields of `croma.batches.normalise.Normalisation` by name, one number a channel: `radar_mean`, `radar_std` in
decibels, `optical_mean`, `optical_std` as reflectance × 10,000. x became clip((x - (mean - 2 std)) / (4 std), 0, 1)."""

_SCALING = ("radar_mean", "radar_std", "optical_mean", "optical_std")


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What travels with the weights."""

    model: NetworkSpec
    normalisation: Normalisation | None = None
    """None where it is not known, as in the released files."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Where the weights are from: dataset and version, recipe, code, step. No secrets, no signed addresses."""

    def to_json(self) -> str:
        """One line, sorted keys."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Reads what `to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        fields: dict[str, Any] = json.loads(text)
        if fields.pop("format") != FORMAT:
            raise ValueError(f"written in another format than {FORMAT}")
        model, scaling = network_spec(fields.pop("model")), fields.pop("normalisation")
        normalisation = scaling and {name: tuple(numbers) for name, numbers in scaling.items()}
        return cls(model=model, normalisation=normalisation, **fields)


def save_weights(path: Path, model: Network, card: Card) -> None:
    """Writes weights and card to `path`, whole or not at all.

    Raises:
        ValueError: the card describes another network, or constants of another number of channels.
    """
    from safetensors.torch import save_file

    if problems := _disagreements(model, card):
        raise ValueError("; ".join(problems))
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, temporary, metadata={_HEADER: card.to_json()})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_weights(path: Path) -> tuple[Network, Card]:
    """The model and the card in the file at `path`, on the CPU.

    Raises:
        InputError: the file cannot be read, is damaged, or does not hold what its card says.
    """
    from safetensors.torch import load_file

    card = load_card(path)
    with torch.random.fork_rng(devices=[]):
        model = build_network(card.model)
    try:
        model.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise InputError(f"{path}: the weights do not fit the card: {error}") from None
    return model, card


def load_card(path: Path) -> Card:
    """The card alone, without reading the weights; raises as `load_weights` does."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_HEADER)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    except SafetensorError as error:
        raise InputError(f"{path}: not a whole safetensors file ({error})") from None
    if text is None:
        raise InputError(f"{path}: has no card; only files written by this project do (see `croma export`)")
    try:
        return Card.from_json(text)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: its card cannot be read: {error}") from None


def _disagreements(model: Network, card: Card) -> list[str]:
    problems = []
    if card.model != model.spec:
        problems.append(f"the card is of {card.model}, the model of {model.spec}")
    if card.normalisation is not None:
        problems += _misfits(card.normalisation, model.spec)
    return problems


def _misfits(scaling: Normalisation, spec: NetworkSpec) -> list[str]:
    if sorted(scaling) != sorted(_SCALING):
        return [f"normalisation has the fields {sorted(scaling)}; it has {sorted(_SCALING)}"]
    channels = {"radar": spec.radar_channels, "optical": spec.optical_channels}
    return [
        f"normalisation.{name} has {len(numbers)} numbers; the model has {channels[name.split('_')[0]]} channels"
        for name, numbers in scaling.items()
        if len(numbers) != channels[name.split("_")[0]]
    ]
