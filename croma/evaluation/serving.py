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
from croma.model.croma import Croma
from croma.model.weights import load_weights

WEIGHTS = "weights.safetensors"
"""Name of the file in the model's folder."""

_CHUNK = 32

Images = npt.NDArray[np.float32]


class EmbeddingModel:
    """What `mlflow.pyfunc` wraps."""

    def __init__(self, model: Croma, constants: Mapping[str, tuple[float, ...]]) -> None:
        self.model = model.eval()
        self.constants = SimpleNamespace(**constants)

    def predict(self, images: Mapping[str, npt.NDArray[Any]], params: Any = None) -> dict[str, Images]:  # noqa: ARG002
        """Embeddings of pairs.

        Args:
            images: `radar` (b, 2, h, w): VV and VH in decibels, NaN where nothing was measured. `optical`
                (b, 12, h, w): Level-2A reflectance × 10,000, B01 to B12 with B8A after B08 and without B10, all
                resampled to 10 m, 0 where nothing was measured. h and w are multiples of the patch.
            params: MLflow passes it; there are none.

        Returns:
            `radar`, `optical` and `joint`, each float32 (b, D).

        Raises:
            ValueError: a sensor is missing, or a shape does not fit; says which and what would.
        """
        self._check(images)
        radar, optical = (torch.from_numpy(np.asarray(images[name], np.float32)) for name in ("radar", "optical"))
        pieces = zip(torch.split(radar, _CHUNK), torch.split(optical, _CHUNK), strict=True)
        found = [self._embed(*piece) for piece in pieces]
        return {name: np.concatenate([piece[name] for piece in found]) for name in found[0]}

    @torch.no_grad()
    def _embed(self, radar: Tensor, optical: Tensor) -> dict[str, Images]:
        c = self.constants
        found = self.model(
            radar=scale(radar, c.radar_mean, c.radar_std, radar.isnan()),
            optical=scale(optical, c.optical_mean, c.optical_std, optical == 0),
        )
        vectors = {"radar": found.radar_gap, "optical": found.optical_gap, "joint": found.joint_gap}
        return {name: vector.numpy() for name, vector in vectors.items()}

    def _check(self, images: Mapping[str, npt.NDArray[Any]]) -> None:
        spec = self.model.spec
        wanted = {"radar": spec.radar_channels, "optical": spec.optical_channels}
        problems = []
        for name, channels in wanted.items():
            shape = np.shape(images[name]) if name in images else None
            if shape is None:
                problems.append(f"{name} is missing: give an array (batch, {channels}, height, width)")
            elif len(shape) != 4 or shape[0] == 0 or shape[1] != channels:
                problems.append(f"{name} has shape {shape}: (batch, {channels}, height, width) is wanted")
            elif shape[2] % spec.patch or shape[3] % spec.patch or 0 in shape:
                problems.append(f"{name} is {shape[2]} × {shape[3]} px: both must be multiples of {spec.patch}")
        if not problems:
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
