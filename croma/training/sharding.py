"""A network cut over its workers (torch's FSDP2), for networks that are large beside a device.

Every encoder and decoder is a unit: a worker keeps its part of the unit's weights, of their gradient and of the
optimiser's moments. Before a pass the whole unit is gathered, after it given up; gradients are summed to where their
parts are. What is left, heads and temperature, is small and stays whole on every worker.

The optimiser sees plain tensors, this worker's parts, so its arithmetic is what it is without any of this. What leaves
here, checkpoints and weights, is whole: of the form that a run with whole networks has.
"""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from croma import distributed
from croma.model.layers import Stack
from croma.training.spread import trained


class Sharded:
    """An objective cut over all workers, beside the one that it was made of. Implements `Spread`."""

    def __init__(self, objective: nn.Module) -> None:
        """`objective` gives its weights, and is given those of the network back by `whole`; it rests on the CPU."""
        self._device = next(objective.parameters()).device
        self._objective = objective
        self.network = copy.deepcopy(objective)
        objective.to("cpu")
        # It warns of outputs that are views; nobody changes one in place.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
        mesh = init_device_mesh(self._device.type, (distributed.world_size(),))
        for unit in units(self.network):
            cut: FSDPModule = fully_shard(unit, mesh=mesh, reshard_after_forward=True)
            cut.set_gradient_divide_factor(1.0)  # a sum: the share of every sample is in its loss
            cut.set_force_sum_reduction_for_comms(True)
        self._parts = [(p, _part(p)) for p in self.network.parameters() if isinstance(p, DTensor)]

    def copied(self) -> list[nn.Parameter]:
        """What belongs to no unit."""
        return [p for p in trained(self.network.parameters()) if not isinstance(p, DTensor)]

    def groups(self, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """With this worker's parts in the places of what is cut."""
        mine = {id(whole): part for whole, part in self._parts}
        return [{**group, "params": [mine.get(id(p), p) for p in group["params"]]} for group in groups]

    def zero(self) -> None:
        """See `Spread`."""
        for whole, _ in self._parts:
            whole.grad = None

    def finish(self) -> None:
        """Show the optimiser the gradient of the parts."""
        for whole, part in self._parts:
            part.grad = torch.zeros_like(part) if whole.grad is None else _local(whole.grad)

    def square(self) -> Tensor:
        """See `Spread`."""
        return torch.stack([part.grad.square().sum() for _, part in self._parts if part.grad is not None]).sum()

    def scale(self, factor: Tensor) -> None:
        """See `Spread`."""
        for _, part in self._parts:
            if part.grad is not None:
                part.grad.mul_(factor)

    def state(self, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
        """Whole on rank 0, in its host's memory; there is nothing in it to save on the others."""
        weights = {name: _gathered(value) for name, value in self.network.state_dict().items()}
        found = optimiser.state_dict()
        moments = {
            number: {name: _gathered(_joined(value, whole)) for name, value in state.items()}
            for number, state, whole in self._moments(found, optimiser)
        }
        return {"objective": weights, "optimiser": {**found, "state": moments}}

    def load(self, state: dict[str, Any], optimiser: torch.optim.Optimizer) -> None:
        """See `Spread`."""
        own = self.network.state_dict()
        self.network.load_state_dict({name: _split(value, own[name]) for name, value in state["objective"].items()})
        moments = {
            number: {name: _local(_split(value, whole)) for name, value in found.items()}
            for number, found, whole in self._moments(state["optimiser"], optimiser)
        }
        optimiser.load_state_dict({**state["optimiser"], "state": moments})

    @contextmanager
    def whole(self) -> Iterator[nn.Module]:
        """The objective that this was made of, on the device, with the weights that the network has now."""
        weights = {name: _full(value) for name, value in self.network.state_dict().items()}
        self._objective.to(self._device).load_state_dict(weights)
        del weights
        yield self._objective
        self._objective.to("cpu")

    def _moments(
        self, state: dict[str, Any], optimiser: torch.optim.Optimizer
    ) -> Iterator[tuple[int, dict[str, Tensor], Tensor]]:
        """Of every parameter that the optimiser knows: its number, its entries in `state`, itself uncut."""
        uncut = {id(part): whole for whole, part in self._parts}
        known = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        for number, entries in state["state"].items():
            yield number, entries, uncut.get(id(known[number]), known[number])


def units(objective: nn.Module) -> list[nn.Module]:
    """What is cut: the encoders and decoders that are built of blocks and are trained."""
    built = (m for m in objective.modules() if any(isinstance(child, Stack) for child in m.children()))
    return [module for module in built if all(p.requires_grad for p in module.parameters())]


def _part(whole: DTensor) -> nn.Parameter:
    """The part of this worker as a parameter of its own, in the same memory."""
    return nn.Parameter(whole.to_local().detach())


def _joined(value: Tensor, like: Tensor) -> Tensor:
    """Parts of all workers as one tensor cut as `like` is; a scalar, or what is not cut, as it is."""
    if not isinstance(like, DTensor) or value.ndim == 0:
        return value
    return DTensor.from_local(
        value, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )


def _split(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, the same on every worker, cut as `like` is."""
    if not isinstance(like, DTensor) or value.ndim == 0:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def _local(value: Tensor) -> Tensor:
    return value.to_local() if isinstance(value, DTensor) else value


def _full(value: Tensor) -> Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value


def _gathered(value: Tensor) -> Tensor:
    """The whole of it in the host's memory on rank 0, nothing on the others."""
    found = _full(value).detach()
    return found.to("cpu", copy=True) if distributed.rank() == 0 else torch.empty(0)
