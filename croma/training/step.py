"""One optimiser step over a global batch: one gradient, whatever the number of workers and micro-batches.

The loss is a weighted sum of local terms, means over samples, and of coupled terms, functions of features of the whole
global batch. The features of all samples are gathered without their graph; every worker computes the coupled terms of
all of them, and from there the gradient at the features. A worker then back-propagates, piece by piece, its local terms
together with the product of its features and their gradient: by the chain rule that is the gradient of the whole loss.
Where the batch is cut into pieces, features come from a first pass without graph and pieces are computed again one at a
time (GradCache, Gao et al. 2021). Parameters used by the coupled terms alone, a temperature, get an equal share of
their gradient on every worker, so that the sum over workers counts it once.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

# Torch reads it when it first allocates: large tensors lie in huge pages. On a CPU a step makes them anew all the time,
# and page by page that is up to a third of it.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import torch
from torch import Tensor, nn
from torch import distributed as dist

from croma import distributed
from croma.batches.batch import Batch
from croma.objectives.objective import Features, Local, Objective
from croma.training.gradients import Gradients
from croma.training.settings import AdamW, Precision, Sharding
from croma.training.spread import spread


class Requests(NamedTuple):
    """What somebody outside wants of the run."""

    save: bool = False
    """A checkpoint now."""
    stop: bool = False
    """A checkpoint now, and an end."""


NOTHING = Requests()


class Outcome(NamedTuple):
    """What a step found, before anything was changed; the same on every worker."""

    loss: float
    """Weighted sum of the parts."""
    parts: dict[str, float]
    """Terms of the loss by name, unweighted."""
    grad_norm: float
    requests: Requests
    """Of any worker."""


class Stepper:
    """Gradients and updates of an objective."""

    def __init__(
        self,
        objective: nn.Module,
        optimiser: AdamW,
        precision: Precision,
        compiled: bool = False,
        sharding: Sharding = "replicated",
    ) -> None:
        self.spread = spread(objective, sharding)
        self.objective = objective = self.spread.network
        self._settings = optimiser
        self._precision = precision
        self._trained = self.spread.copied()
        self._device = self._trained[0].device
        self._gradients = Gradients(self._trained)
        groups = self.spread.groups(decay_groups(objective, optimiser.weight_decay))
        self.optimiser = torch.optim.AdamW(groups, betas=optimiser.betas, eps=optimiser.eps, lr=0.0, fused=True)
        wrap: Callable[[Any], Any] = torch.compile if compiled else _unchanged
        self._features = wrap(objective.features)
        self._forward = wrap(objective.forward)

    def gradient(self, pieces: Sequence[Batch], total: int, requests: Requests = NOTHING) -> Outcome:
        """Compute the gradient of the loss of a global batch of `total` samples; `pieces` are this worker's.

        `requests` of any worker reach all of them with the losses.
        """
        pieces = [piece._replace(ids=()) for piece in pieces]  # names would make a compiled pass compile again
        sizes = [len(piece.keys) for piece in pieces]
        self._gradients.zero()
        self.spread.zero()
        whole = [self._pass(pieces[0])] if len(pieces) == 1 else []
        features = whole[0].features if whole else self._all_features(pieces)
        coupled, wanted = self._couple(features, total)
        offset, terms = 0, dict[str, Tensor]()
        for number, piece in enumerate(pieces):
            local = whole[number] if whole else self._pass(piece)
            loss = self._surrogate(local, wanted, slice(offset, offset + sizes[number]), sizes[number] / total)
            if number == len(pieces) - 1:
                self._gradients.arm()
            loss.backward()  # type: ignore[no-untyped-call]
            offset += sizes[number]
            for name, term in local.terms.items():
                terms[name] = terms.get(name, 0) + term.detach() * (sizes[number] / total)
        self._gradients.finish()
        self.spread.finish()
        return self._outcome(coupled, terms, requests)

    def update(self, rate: float, norm: float) -> None:
        """Take the step that `gradient` prepared."""
        if self._settings.clip is not None:
            self.spread.scale(self._gradients.clip(torch.tensor(norm, device=self._device), self._settings.clip))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()

    def _pass(self, piece: Batch) -> Local:
        with self.autocast():
            local: Local = self._forward(piece)
        return local

    def _all_features(self, pieces: Sequence[Batch]) -> Features:
        """Features of this worker's samples, without graph."""
        found: list[Features] = []
        with torch.no_grad():
            for piece in pieces:
                with self.autocast():
                    found.append(self._features(piece))
        return {name: torch.cat([part[name] for part in found]) for name in found[0]}

    def _couple(self, features: Features, total: int) -> tuple[dict[str, Tensor], Features]:
        """The coupled terms of the global batch, and their gradient at this worker's features."""
        if not features:
            return {}, {}
        world, rank = distributed.world_size(), distributed.rank()
        everyone = {
            name: distributed.gather_shares(rows.detach(), total).requires_grad_() for name, rows in features.items()
        }
        terms = _objective(self.objective).coupled(everyone)
        weights = _objective(self.objective).weights
        loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        sources = [*everyone.values(), *self._trained]
        found = torch.autograd.grad(loss, sources, allow_unused=True)
        for parameter, grad in zip(self._trained, found[len(everyone) :], strict=True):
            if grad is not None and parameter.grad is not None:
                parameter.grad += grad / world
        mine = distributed.share(total, rank, world)
        grads = {name: g[mine] for name, g in zip(everyone, found, strict=False) if g is not None}
        return {name: term.detach() for name, term in terms.items()}, grads

    def _surrogate(self, local: Local, wanted: Features, rows: slice, weight: float) -> Tensor:
        """A number whose gradient is that of the loss, as far as it flows through these samples."""
        weights = _objective(self.objective).weights
        parts = [weights[name] * weight * term for name, term in local.terms.items()]
        parts += [(local.features[name] * gradient[rows]).sum() for name, gradient in wanted.items()]
        return torch.stack(parts).sum()

    def _outcome(self, coupled: dict[str, Tensor], local: dict[str, Tensor], requests: Requests) -> Outcome:
        """Everything the host needs, in one transfer."""
        world = distributed.world_size()
        names = [*coupled, *local]
        shares = [*(term / world for term in coupled.values()), *local.values()]
        wishes = torch.tensor([float(wish) for wish in requests], device=self._device)
        numbers = torch.cat([torch.stack([share.float() for share in shares]), wishes, self.spread.square()[None]])
        if world > 1:
            dist.all_reduce(numbers)
        norm = torch.hypot(self._gradients.norm(), numbers[-1].sqrt())
        norm, *values = torch.cat([norm[None], numbers[:-1]]).tolist()
        parts = dict(zip(names, values, strict=False))
        loss = sum(_objective(self.objective).weights[name] * value for name, value in parts.items())
        return Outcome(loss=loss, parts=parts, grad_norm=norm, requests=Requests(*(value > 0 for value in values[-2:])))

    def autocast(self) -> torch.autocast:
        """The precision that passes are computed in."""
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bfloat16")


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trained parameters in two groups: weights of linear and convolutional layers decay, the rest does not."""
    layers = (nn.Linear, nn.Conv2d)
    decaying = {id(layer.weight) for layer in module.modules() if isinstance(layer, layers)}
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if id(p) in decaying], "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) not in decaying], "weight_decay": 0.0},
    ]


def cut(batch: Batch, size: int | None) -> list[Batch]:
    """The batch in pieces of at most `size` samples, equal to within one; whole for None."""
    count = len(batch.keys)
    pieces = 1 if size is None else -(-count // size)
    parts = [distributed.share(count, number, pieces) for number in range(pieces)]
    return [Batch(batch.radar[p], batch.optical[p], batch.keys[p], batch.ids[p]) for p in parts]


def _objective(module: nn.Module) -> Objective:
    return module  # type: ignore[return-value]


def _unchanged(function: Any) -> Any:
    return function
