"""A look at what is being learnt, now and then: hidden patches as they are filled in, and how embeddings spread."""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from croma.batches.batch import Batch
from croma.model.masking import TokenMask
from croma.model.patches import patchify, unpatchify
from croma.objectives.objective import Features, Objective
from croma.objectives.reconstruction import restore
from croma.training.loop import StepReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from croma.tracking.run import Run

SHOWN = 4
"""Chips in a picture."""
LENGTH = 0.02
"""How far the length of a unit vector may be from 1, for bfloat16's sake."""


@runtime_checkable
class Predicts(Protocol):
    """An objective that fills in hidden patches."""

    spec: Any

    def predict(self, batch: Batch) -> tuple[Tensor, TokenMask, TokenMask]:
        """Normalised patches (b, n, P) of optical, then radar; which radar and which optical patches were hidden."""
        ...


class Look:
    """Logs pictures and the spread of embeddings to the tracker every `every` steps."""

    def __init__(self, run: "Run", every: int, shown: Batch) -> None:
        """`shown` are the images whose patches are filled in, the same at every look."""
        self._run = run
        self._every = every
        self._shown = shown

    @torch.no_grad()
    def after_step(self, report: StepReport, batch: Batch, objective: Objective) -> None:
        """See `Watcher`."""
        if report.step % self._every:
            return
        features = objective.features(batch._replace(ids=()))
        self._run.metrics({f"embeddings/{name}": value for name, value in spread(features).items()}, report.step)
        if isinstance(objective, Predicts):
            filled = fill_in(objective, self._shown)
            self._run.figure(f"reconstructions/step-{report.step:08d}.png", draw(filled))


def spread(features: Features) -> dict[str, float]:
    """How embeddings lie on the sphere (Wang and Isola 2020, "Understanding Contrastive Representation Learning").

    `alignment` is the mean squared distance of counterparts, 0 at best; `uniformity/…` the logarithm of the mean of
    exp(-2 d²) over pairs of one sensor, the lower the more evenly they are spread. Of samples with several views the
    first counts; what is not on the sphere does not.
    """
    features = {name: rows if rows.ndim == 2 else rows[:, 0] for name, rows in features.items()}
    features = {name: rows for name, rows in features.items() if (rows.norm(dim=1) - 1).abs().max() < LENGTH}
    found = {}
    if {"radar", "optical"} <= features.keys():
        found["alignment"] = float((features["radar"] - features["optical"]).square().sum(1).mean())
    for name, rows in features.items():
        if len(rows) > 1:
            found[f"uniformity/{name}"] = float(torch.pdist(rows.float()).square().mul(-2).exp().mean().log())
    return found


class Filled(NamedTuple):
    """Images (b, 3, height, width) in [0, 1]: natural colours, and VV, VH and their difference."""

    optical: tuple[Tensor, Tensor, Tensor]
    """As they are, as they were shown (hidden patches are NaN), as they were filled in."""
    radar: tuple[Tensor, Tensor, Tensor]


def fill_in(objective: Predicts, batch: Batch) -> Filled:
    """What the objective makes of hidden patches, on the scale of the true ones."""
    spec = objective.spec
    patch, grid = spec.model.patch, spec.model.grid
    said, radar_mask, optical_mask = objective.predict(batch)
    optical, radar = patchify(batch.optical, patch), patchify(batch.radar, patch)
    together = torch.cat([optical, radar], dim=2)
    parts = torch.split(said.float(), [optical.shape[2], radar.shape[2]], dim=2)

    def images(true: Tensor, part: Tensor, mask: TokenMask) -> tuple[Tensor, Tensor, Tensor]:
        restored = restore(part, together if spec.target_norm == "official" else true)
        hidden = mask.hidden[..., None]
        shown, filled = torch.where(hidden, torch.nan, true), torch.where(hidden, restored.clamp(0, 1), true)
        whole, seen, guessed = (unpatchify(patches, grid, patch) for patches in (true, shown, filled))
        return _coloured(whole), _coloured(seen), _coloured(guessed)

    return Filled(images(optical, parts[0], optical_mask), images(radar, parts[1], radar_mask))


def draw(filled: Filled) -> "Figure":
    """Three columns a chip and sensor: what is there, what was shown, what was filled in."""
    from matplotlib.figure import Figure

    rows = [(sensor, chip) for chip in range(len(filled.optical[0])) for sensor in ("optical", "radar")]
    figure = Figure(figsize=(6, 2 * len(rows)), layout="constrained")
    axes: npt.NDArray[Any] = figure.subplots(len(rows), 3, squeeze=False)
    for line, (sensor, chip) in zip(axes, rows, strict=True):
        for axis, images, title in zip(line, getattr(filled, sensor), ("image", "shown", "filled in"), strict=True):
            axis.imshow(np.nan_to_num(images[chip].permute(1, 2, 0).cpu().numpy(), nan=0.5), interpolation="nearest")
            axis.set_axis_off()
            axis.set_title(f"{sensor}: {title}" if chip == 0 else "", fontsize=8)
    return figure


def _coloured(image: Tensor) -> Tensor:
    if image.shape[1] == 2:
        return torch.stack([image[:, 0], image[:, 1], (image[:, 0] - image[:, 1] + 1) / 2], dim=1)
    return image[:, [3, 2, 1]]


def first(batch: Batch, count: int) -> Batch:
    """The first images of a batch, without their names."""
    return Batch(batch.radar[:count], batch.optical[:count], batch.keys[:count])
