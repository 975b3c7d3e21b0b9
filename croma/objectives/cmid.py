"""CMID, contrastive mask image distillation (Muhtar et al. 2023, arXiv 2304.09670), for Sentinel-1, Sentinel-2 or both.

Two views of an image are masked in blocks and shown to a student; its moving average, the teacher, sees them whole. The
student reconstructs what was masked (reconstruction), finds the teacher's vector of the other view among past ones
(global), and agrees with it on the prototypes of cells that show the same ground (local).

Where this departs from NJU-LHRS/official-CMID at 6e1de74, and why:
- cells are matched by where they truly lie; the published grid loses the offset of a crop;
- the queue holds unit vectors from the start, and each key of the global batch once;
- the head reconstructs as many channels as the input has, in standard deviations as published: focal losses weigh
  errors by their size, and of images in [0, 1] they would be a sixteenth of what they are meant to be;
- spectra are compared image by image, and there is no batch norm: no sample's loss depends on its neighbours;
- teacher, queue, centre and temperature move together after the optimiser's step, from one global batch.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from croma.batches.batch import Batch
from croma.batches.draws import uniform
from croma.model.patches import unpatchify
from croma.model.towers import Towers, build_tower, pick
from croma.objectives.distillation import PrototypeHead, at, match, prototype_loss
from croma.objectives.focal import hidden_focal_l1, hidden_frequency
from croma.objectives.objective import Features, Local
from croma.objectives.spec import CmidSpec
from croma.objectives.views import change_bands, draw_window, look

MASK_STREAM = 131
"""First stream of `croma.batches.draws.uniform`; view v draws from stream + v."""


class _Views(NamedTuple):
    """Both views of a piece of the batch, the second below the first: 2b rows."""

    images: Tensor
    """(2b, c, height, width)."""
    places: Tensor
    """(2b, n, 2), where the cells of each view lie in its source image."""
    hidden: Tensor
    """float (2b, rows, columns), 1 where a block of pixels is hidden."""


class _Heads(nn.Module):
    """What student and teacher have besides an encoder."""

    def __init__(self, spec: CmidSpec) -> None:
        super().__init__()
        self.projector = _mlp(spec.model.features, spec.hidden, spec.projection)
        self.local = PrototypeHead(spec.model.features, spec.hidden, spec.projection, spec.prototypes)


class Cmid(nn.Module):
    """See the head of this file. `model` is what is kept afterwards: the student's encoder."""

    queue: Tensor
    oldest: Tensor
    centre: Tensor
    progress: Tensor

    def __init__(self, spec: CmidSpec) -> None:
        super().__init__()
        self.spec = spec
        (self._tower,) = spec.model.towers
        self.model, self.heads = Towers(spec.model), _Heads(spec)
        self.teacher, self.teacher_heads = build_tower(spec.model, self._tower), _Heads(spec)
        self.teacher.load_state_dict(self._student.state_dict())
        self.teacher_heads.load_state_dict(self.heads.state_dict())
        self.teacher.requires_grad_(False)
        self.teacher_heads.requires_grad_(False)
        stem = spec.model.dim if spec.model.backbone == "vit" else spec.model.width
        self.mask_token = nn.Parameter(torch.zeros(stem))
        self.reconstruct = nn.Linear(spec.model.features, spec.model.channels(self._tower) * spec.model.patch**2)
        if spec.global_branch == "byol":
            self.predictor = _mlp(spec.projection, spec.hidden, spec.projection)
        self.weights = dict.fromkeys(("pixels", "frequencies", "global", "local"), 1.0)
        self.register_buffer("queue", functional.normalize(torch.randn(spec.queue, spec.projection), dim=1))
        self.register_buffer("oldest", torch.zeros((), dtype=torch.int64))
        self.register_buffer("centre", torch.zeros(spec.prototypes))
        self.register_buffer("progress", torch.zeros(()))
        self._seen: Features = {}

    @property
    def _student(self) -> nn.Module:
        return self.model.towers[self._tower]

    def features(self, batch: Batch) -> Features:
        """See `forward`."""
        return self(batch).features  # type: ignore[no-any-return]

    def forward(self, batch: Batch) -> Local:
        """Terms of reconstruction and of the local branch; queries (with gradient), keys and prototype scores."""
        views = self._look(batch)
        tokens = self._encode_masked(views)
        with torch.no_grad():
            whole = self.teacher(views.images)
            keys = functional.normalize(self.teacher_heads.projector(_pool(whole)).float(), dim=1)
        queries = self.heads.projector(_pool(tokens))
        queries = self.predictor(queries) if self.spec.global_branch == "byol" else queries
        local, scores = self._local(tokens, whole, views.places)
        features = {
            "queries": _per_sample(functional.normalize(queries.float(), dim=1)),
            "keys": _per_sample(keys),
            "scores": _per_sample(scores).mean(dim=1),
        }
        return Local(features=features, terms={**self._reconstruction(tokens, views), "local": local})

    def coupled(self, features: Features) -> dict[str, Tensor]:
        """The global branch. What the step shows of the whole batch is kept for `update`."""
        self._seen = {name: rows.detach() for name, rows in features.items()}
        queries, keys = features["queries"], features["keys"].detach()
        pairs = [(queries[:, 0], keys[:, 1]), (queries[:, 1], keys[:, 0])]
        if self.spec.global_branch == "byol":
            terms = [2 - 2 * (query * key).sum(dim=1).mean() for query, key in pairs]
        else:
            terms = [self._among_past(query, key) for query, key in pairs]
        return {"global": (terms[0] + terms[1]) / 2}

    @torch.no_grad()
    def update(self, step: int, steps: int) -> None:
        """Moves the teacher towards the student, the centre towards the scores, and puts the keys into the queue."""
        done = (step + 1) / max(1, steps)
        momentum = 1 - (1 - self.spec.momentum) * (math.cos(math.pi * step / max(1, steps)) + 1) / 2
        for teacher, student in ((self.teacher, self._student), (self.teacher_heads, self.heads)):
            torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)
        self.progress.fill_(done)
        if self._seen:
            self.centre.lerp_(self._seen["scores"].mean(dim=0).to(self.centre.dtype), 1 - self.spec.centre_momentum)
            self._enqueue(self._seen["keys"].transpose(0, 1).flatten(0, 1))
            self._seen = {}

    def _look(self, batch: Batch) -> _Views:
        """The first view is cropped and turned, the second changed in its bands too."""
        image = pick(self._tower, batch.radar, batch.optical)
        assert image is not None
        rows, columns = self.spec.model.grid
        images, places, hidden = [], [], []
        for view in range(2):
            window = draw_window(batch.keys, view, self.spec.model.size, self.spec.smallest_crop)
            seen = look(image, window)
            images.append(seen if view == 0 else change_bands(seen, batch.keys, view))
            places.append(window.places(rows, columns).flatten(1, 2))
            hidden.append(self._hide(batch.keys, view))
        return _Views(*(torch.cat(parts) for parts in (images, places, hidden)))

    def _hide(self, keys: Tensor, view: int) -> Tensor:
        """1 for the hidden blocks: ceil(ratio · blocks) of them."""
        height, width = (side // self.spec.mask_patch for side in self.spec.model.size)
        count = math.ceil(self.spec.mask_ratio * height * width)
        order = uniform(keys, height * width, MASK_STREAM + view).argsort(dim=1, stable=True)
        hidden = torch.zeros(len(keys), height * width, device=keys.device)
        return hidden.scatter(1, order[:, :count], 1.0).view(-1, height, width)

    def _encode_masked(self, views: _Views) -> Tensor:
        """The student's tokens (2b, n, D): hidden pixels are the image's mean, their cells carry the mask token."""
        hidden = _enlarge(views.hidden, self.spec.mask_patch)[:, None]
        mean = views.images.mean(dim=(2, 3), keepdim=True)
        filled = torch.lerp(views.images, mean.expand_as(views.images), hidden)
        if self.spec.model.backbone == "vit":
            cells = _enlarge(views.hidden, self.spec.mask_patch // self.spec.model.patch).flatten(1)
            return self._student(filled, added=cells[..., None] * self.mask_token)  # type: ignore[no-any-return]
        cells = _enlarge(views.hidden, self.spec.mask_patch // 4)[:, None]
        return self._student(filled, added=cells * self.mask_token[:, None, None])  # type: ignore[no-any-return]

    def _reconstruction(self, tokens: Tensor, views: _Views) -> dict[str, Tensor]:
        prediction = unpatchify(self.reconstruct(tokens), self.spec.model.grid, self.spec.model.patch)
        target = 4 * (views.images - 0.5)  # see `croma.batches.normalise`
        hidden = _enlarge(views.hidden, self.spec.mask_patch)[:, None]
        return {
            "pixels": hidden_focal_l1(prediction, target, hidden),
            "frequencies": hidden_frequency(prediction, target, hidden),
        }

    def _local(self, student: Tensor, teacher: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """The local loss, and the teacher's mean scores (2b, prototypes)."""
        other = torch.roll(places, len(places) // 2, dims=0)
        matches = match(places, other, self.spec.matches)
        found = self.heads.local(at(student, matches.of))
        with torch.no_grad():
            wanted = self.teacher_heads.local(at(torch.roll(teacher, len(teacher) // 2, dims=0), matches.to))
        return prototype_loss(found, wanted, self.centre, self._teacher_temperature()), wanted.mean(dim=1)

    def _teacher_temperature(self) -> Tensor:
        """Rises in a straight line during the first share of training, then stays."""
        low, high = self.spec.teacher_temperatures
        return low + (high - low) * (self.progress / self.spec.temperature_warmup).clamp(max=1.0)

    def _among_past(self, query: Tensor, key: Tensor) -> Tensor:
        """MoCo v2's loss: the key against the queue."""
        with torch.autocast(query.device.type, enabled=False):
            logits = torch.cat(((query * key).sum(dim=1, keepdim=True), query @ self.queue.T), dim=1)
        nought = torch.zeros(len(query), dtype=torch.int64, device=query.device)
        return functional.cross_entropy(logits / self.spec.temperature, nought)

    def _enqueue(self, keys: Tensor) -> None:
        """The newest keys take the places of the oldest."""
        keys = keys[-len(self.queue) :]
        places = (self.oldest + torch.arange(len(keys), device=keys.device)) % len(self.queue)
        self.queue[places] = keys.to(self.queue.dtype)
        self.oldest.copy_((self.oldest + len(keys)) % len(self.queue))


def _mlp(features: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, out))


def _pool(tokens: Tensor) -> Tensor:
    return tokens.mean(dim=1, dtype=torch.float32)


def _enlarge(cells: Tensor, times: int) -> Tensor:
    """(b, rows, columns) to (b, rows · times, columns · times), each cell repeated."""
    return cells.repeat_interleave(times, dim=1).repeat_interleave(times, dim=2)


def _per_sample(rows: Tensor) -> Tensor:
    """(2b, …), the second views below the first, to (b, 2, …)."""
    return torch.stack(rows.chunk(2), dim=1)
