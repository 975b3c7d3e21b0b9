"""How a network lies on its workers: the words of `croma.training.step` for it, and the plain case, a copy on each."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from croma import distributed
from croma.training.settings import Sharding


class Spread(Protocol):
    """Every worker calls every method."""

    network: nn.Module
    """An `Objective`, what is passed and trained."""

    def copied(self) -> list[nn.Parameter]:
        """The trained parameters that are whole on every worker, each with a gradient of its own there."""
        ...

    def groups(self, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Groups of an optimiser, in terms of what it changes on this worker."""
        ...

    def zero(self) -> None:
        """Begin a new gradient of what is not `copied`."""
        ...

    def finish(self) -> None:
        """That gradient is complete."""
        ...

    def square(self) -> Tensor:
        """The sum of its squares, of this worker's part; a scalar."""
        ...

    def scale(self, factor: Tensor) -> None:
        """Multiply it."""
        ...

    def state(self, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
        """States of `objective` and `optimiser`, whole on rank 0; of one form however the network lies."""
        ...

    def load(self, state: dict[str, Any], optimiser: torch.optim.Optimizer) -> None:
        """Take up what `state` of any spread has given."""
        ...

    def whole(self) -> AbstractContextManager[nn.Module]:
        """The objective with all its weights as they are now, to look at; not to be trained."""
        ...


class Replicated:
    """The whole network on every worker. Implements `Spread`."""

    def __init__(self, objective: nn.Module) -> None:
        self.network = objective
        self._nothing = torch.zeros((), device=next(objective.parameters()).device)

    def copied(self) -> list[nn.Parameter]:
        """All of them."""
        return trained(self.network.parameters())

    def groups(self, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """As they are."""
        return groups

    def zero(self) -> None:
        """See `Spread`."""

    def finish(self) -> None:
        """See `Spread`."""

    def square(self) -> Tensor:
        """There is nothing else."""
        return self._nothing

    def scale(self, factor: Tensor) -> None:
        """See `Spread`."""

    def state(self, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
        """See `Spread`."""
        return {"objective": self.network.state_dict(), "optimiser": optimiser.state_dict()}

    def load(self, state: dict[str, Any], optimiser: torch.optim.Optimizer) -> None:
        """See `Spread`."""
        self.network.load_state_dict(state["objective"])
        optimiser.load_state_dict(state["optimiser"])

    @contextmanager
    def whole(self) -> Iterator[nn.Module]:
        """The network itself."""
        yield self.network


def spread(objective: nn.Module, sharding: Sharding) -> Spread:
    """Lay an objective on the workers; alone there is nothing to cut."""
    if sharding == "replicated" or distributed.world_size() == 1:
        return Replicated(objective)
    # torch's FSDP takes a second to import, and few networks need it.
    from croma.training.sharding import Sharded

    return Sharded(objective)


def trained(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """Those that have a gradient."""
    return [parameter for parameter in parameters if parameter.requires_grad]
