"""Dual-encoder contrastive learning: two looks at one place find each other among all places of the global batch.

With `positives` "sensors" the two looks are the radar and the optical image of one place, each through an encoder of
its own: the sensor is the augmentation (Jain, Wilson, Gulshan 2022, arXiv 2209.02329). With "views" they are two
strongly augmented crops of one sensor's image: the baseline of that paper (SimCLR, Chen et al. 2020). The paper
publishes the idea and no recipe; encoders, head, temperature and augmentation are ours.

With all rows as negatives, each side is standardised over the global batch before rows are compared, as by the batch
norm that ends SimCLR's head. Without it the sensors stay apart: what all rows of a sensor have in common makes its own
rows look alike, and radar never comes near its optical image. The statistics are those of the global batch, whatever
the number of workers and micro-batches.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from croma.batches.batch import Batch
from croma.model.towers import Towers, pick
from croma.objectives.contrastive import cross_modal, initial_log_scale, nt_xent, standardised
from croma.objectives.objective import Features, Local
from croma.objectives.spec import DualEncoderSpec
from croma.objectives.views import change_bands, draw_window, look


class Head(nn.Module):
    """SimCLR's projection; its inner norm is a layer norm, so that samples stay apart until their batch is whole."""

    def __init__(self, features: int, dim: int, bias: bool) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, features, bias=bias)
        self.norm = nn.LayerNorm(features, bias=bias)
        self.out = nn.Linear(features, dim, bias=bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """(b, D) to float32 (b, d)."""
        # In 16 bits what rows have in common would leave few digits for what tells them apart.
        with torch.autocast(vectors.device.type, enabled=False):
            out: Tensor = self.out(torch.relu(self.norm(self.hidden(vectors.float()))))
        return out


class DualEncoder(nn.Module):
    """See the head of this file. `model` is what is kept afterwards."""

    def __init__(self, spec: DualEncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        self.model = Towers(spec.model)
        bias = spec.negatives != "all"  # standardising takes it away again, and its gradient is rounding
        head = partial(Head, spec.model.features, spec.projection, bias)
        self.heads = nn.ModuleDict({name: head() for name in spec.model.towers})
        self.weights = {"contrast": 1.0}
        log_scale = initial_log_scale(spec.temperature)
        if spec.learn_temperature:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)

    def features(self, batch: Batch) -> Features:
        """Projections of the two looks, float32 (b, d) each, of any length."""
        return {side: self._embed(name, image) for side, (name, image) in self._looks(batch).items()}

    def forward(self, batch: Batch) -> Local:
        """The features; no term is a sample's own."""
        return Local(features=self.features(batch), terms={})

    def coupled(self, features: Features) -> dict[str, Tensor]:
        """NT-Xent of the global batch."""
        if self.spec.negatives == "all":
            left, right = (functional.normalize(standardised(features[side]), dim=1) for side in ("left", "right"))
            return {"contrast": nt_xent(left, right, self.log_scale)}
        left, right = (functional.normalize(features[side], dim=1) for side in ("left", "right"))
        return {"contrast": cross_modal(left, right, self.log_scale, through_keys=True)}

    def update(self, step: int, steps: int) -> None:
        """Nothing follows a step."""

    def _looks(self, batch: Batch) -> dict[str, tuple[str, Tensor]]:
        """Tower and image of each look."""
        images = {name: _given(name, batch) for name in self.spec.model.towers}
        if self.spec.positives == "sensors":
            return {"left": ("radar", images["radar"]), "right": ("optical", images["optical"])}
        ((name, image),) = images.items()
        return {side: (name, self._strong_view(image, batch.keys, view)) for view, side in enumerate(("left", "right"))}

    def _strong_view(self, image: Tensor, keys: Tensor, view: int) -> Tensor:
        window = draw_window(keys, view, (image.shape[-2], image.shape[-1]), self.spec.smallest_crop)
        return change_bands(look(image, window), keys, view)

    def _embed(self, name: str, image: Tensor) -> Tensor:
        tokens = self.model.towers[name](image)
        return self.heads[name](tokens.mean(dim=1, dtype=torch.float32))  # type: ignore[no-any-return]


def _given(name: str, batch: Batch) -> Tensor:
    image = pick(name, batch.radar, batch.optical)
    assert image is not None
    return image
