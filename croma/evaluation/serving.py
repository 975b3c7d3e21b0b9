"""The model that MLflow serves: images as they come from the sensors in, embeddings out.

Loaded by MLflow from the code that travels with the model, so it imports `croma.model` and `croma.batches` alone.
"""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from croma.batches.normalise import scale
from croma.evaluation.modalities import modalities_of, pooled, sensors_of
from croma.model.networks import Network
from croma.model.weights import load_weights

WEIGHTS = "weights.safetensors"
"""Name of the file in the model's folder."""

_CHUNK = 32

Images = npt.NDArray[np.float32]


class EmbeddingModel:
    """What `mlflow.pyfunc` wraps."""

    def __init__(self, model: Network, constants: Mapping[str, tuple[float, ...]]) -> None:
        self.model = model.eval()
        self.constants = SimpleNamespace(**constants)
        self.modalities = modalities_of(model.spec)
        self.sensors = sensors_of(self.modalities)

    def predict(self, images: Mapping[str, npt.NDArray[Any]], params: Any = None) -> dict[str, Images]:  # noqa: ARG002
        """Embeddings of pairs.

        Args:
            images: `radar` (b, 2, h, w): VV and VH in decibels, NaN where nothing was measured. `optical`
                (b, 12, h, w): Level-2A reflectance × 10,000, B01 to B12 with B8A after B08 and without B10, all
                resampled to 10 m, 0 where nothing was measured. h and w are multiples of the patch.
            params: MLflow passes it; there are none.

        Returns:
            Those of `radar`, `optical` and `joint` that the network has, each float32 (b, D).

        Raises:
            ValueError: a sensor is missing, or a shape does not fit; says which and what would.
        """
        self._check(images)
        tensors = {name: torch.from_numpy(np.asarray(images[name], np.float32)) for name in self.sensors}
        pieces = [torch.split(tensor, _CHUNK) for tensor in tensors.values()]
        found = [self._embed(dict(zip(tensors, piece, strict=True))) for piece in zip(*pieces, strict=True)]
        return {name: np.concatenate([piece[name] for piece in found]) for name in found[0]}

    @torch.no_grad()
    def _embed(self, images: dict[str, Tensor]) -> dict[str, Images]:
        c, scaled = self.constants, {}
        if "radar" in images:
            scaled["radar"] = scale(images["radar"], c.radar_mean, c.radar_std, images["radar"].isnan())
        if "optical" in images:
            scaled["optical"] = scale(images["optical"], c.optical_mean, c.optical_std, images["optical"] == 0)
        found = self.model(**scaled)
        return {each: pooled(found, each).numpy() for each in self.modalities}

    def _check(self, images: Mapping[str, npt.NDArray[Any]]) -> None:
        spec = self.model.spec
        channels_of = {"radar": spec.radar_channels, "optical": spec.optical_channels}
        wanted = {name: channels_of[name] for name in self.sensors}
        problems = []
        for name, channels in wanted.items():
            shape = np.shape(images[name]) if name in images else None
            if shape is None:
                problems.append(f"{name} is missing: give an array (batch, {channels}, height, width)")
            elif len(shape) != 4 or shape[0] == 0 or shape[1] != channels:
                problems.append(f"{name} has shape {shape}: (batch, {channels}, height, width) is wanted")
            elif shape[2] % spec.patch or shape[3] % spec.patch or 0 in shape:
                problems.append(f"{name} is {shape[2]} × {shape[3]} px: both must be multiples of {spec.patch}")
        if not problems and len(wanted) == 2:
            radar, optical = (np.shape(images[name]) for name in wanted)
            if (radar[0], *radar[2:]) != (optical[0], *optical[2:]):
                problems.append(f"radar {radar} and optical {optical} are pairs: their number and size must agree")
        if problems:
            raise ValueError("; ".join(problems))


def load_model(folder: Path) -> EmbeddingModel:
    """The model whose weights are in `folder`."""
    model, card = load_weights(folder / WEIGHTS)
    assert card.normalisation is not None, "checked when the model was packed"
    return EmbeddingModel(model, card.normalisation)


def _load_pyfunc(path: str) -> EmbeddingModel:
    """MLflow's entry."""
    return load_model(Path(path))
