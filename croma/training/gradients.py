"""The gradient of all parameters as a few flat buffers, summed over workers while the last backward pass still runs.

Buffers are filled in the order in which a backward pass reaches the parameters, roughly the reverse of their own. A
buffer's sum begins when its last parameter has its gradient, in the same order on every worker.
"""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch import distributed as dist

from croma import distributed

BUCKET = 32 * 2**20
"""Bytes of a buffer: enough to fill the network, few enough to begin early."""


class _Bucket:
    """One buffer; the gradients of its parameters are views of it."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters
        like = parameters[0]
        self.flat = torch.zeros(sum(p.numel() for p in parameters), dtype=like.dtype, device=like.device)
        parts = torch.split(self.flat, [p.numel() for p in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        self.missing = 0


class Gradients:
    """The gradient of `parameters`, all of one type on one device."""

    def __init__(self, parameters: Iterable[nn.Parameter], bucket: int = BUCKET) -> None:
        self._buckets = [_Bucket(group) for group in _grouped(list(parameters)[::-1], bucket)]
        self._armed = False
        self._next = 0
        self._sums: list[dist.Work] = []
        for held in self._buckets:
            for parameter in held.parameters:
                parameter.register_post_accumulate_grad_hook(partial(self._arrived, held))  # type: ignore[no-untyped-call]

    def zero(self) -> None:
        """Begin a new gradient."""
        for bucket in self._buckets:
            bucket.flat.zero_()

    def arm(self) -> None:
        """The next backward pass is the last: sum over workers what it completes."""
        if distributed.world_size() > 1:
            self._armed, self._next = True, 0
            for bucket in self._buckets:
                bucket.missing = len(bucket.parameters)

    def finish(self) -> None:
        """Wait until every buffer is summed, those included whose parameters the last pass did not reach."""
        if self._armed:
            self._armed = False
            self._launch(len(self._buckets))
            for work in self._sums:
                work.wait()
            self._sums.clear()

    def norm(self) -> Tensor:
        """Length of the whole gradient, a scalar."""
        norm: Tensor = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(b.flat) for b in self._buckets]))
        return norm

    def clip(self, norm: Tensor, longest: float) -> Tensor:
        """Shorten the gradient, `norm` long, to at most `longest`. Returns what it was multiplied with."""
        factor = (longest / (norm + 1e-6)).clamp(max=1.0)
        for bucket in self._buckets:
            bucket.flat.mul_(factor)
        return factor

    def _arrived(self, bucket: _Bucket, _: Tensor) -> None:
        if self._armed:
            bucket.missing -= 1
            ready = self._next
            while ready < len(self._buckets) and self._buckets[ready].missing == 0:
                ready += 1
            self._launch(ready)

    def _launch(self, until: int) -> None:
        for bucket in self._buckets[self._next : until]:
            self._sums.append(dist.all_reduce(bucket.flat, async_op=True))
        self._next = max(self._next, until)


def _grouped(parameters: list[nn.Parameter], size: int) -> list[list[nn.Parameter]]:
    groups: list[list[nn.Parameter]] = []
    room = 0
    for parameter in parameters:
        needed = parameter.numel() * parameter.element_size()
        if not groups or needed > room:
            groups.append([])
            room = size
        groups[-1].append(parameter)
        room -= needed
    return groups
