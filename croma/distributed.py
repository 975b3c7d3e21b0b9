"""Who am I among the workers, and everyone's rows: rank 0 of 1 when alone, so the same code runs on a laptop."""

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def active() -> bool:
    """Whether this process belongs to a group of workers."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """The number of this worker, 0 when alone."""
    return dist.get_rank() if active() else 0


def world_size() -> int:
    """How many workers there are, 1 when alone."""
    return dist.get_world_size() if active() else 1


def gather(rows: Tensor) -> Tensor:
    """The rows of all workers, in the order of their ranks, differentiable.

    The gradient that a worker's rows receive is the sum over all workers. When every worker computes the same loss of
    the gathered rows, averaging parameter gradients over workers (as DDP does) gives the gradient of that one loss.

    Args:
        rows: (b, …), of one shape and type on all workers.

    Returns:
        (b · world_size, …).
    """
    if world_size() == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


def share(total: int, part: int, parts: int) -> slice:
    """Part `part` of `total` things dealt to `parts`: contiguous, equal to within one."""
    return slice(total * part // parts, total * (part + 1) // parts)


def gather_shares(rows: Tensor, total: int) -> Tensor:
    """The rows of all workers in the order of their ranks, without gradient.

    Args:
        rows: (b, …), where b is this worker's `share` of `total`.
        total: rows of all workers together.

    Returns:
        (total, …).
    """
    world = world_size()
    if world == 1:
        return rows.detach().clone()
    most = -(-total // world)
    padded = rows.new_zeros((most, *rows.shape[1:]))
    padded[: len(rows)] = rows.detach()
    everyone = [torch.empty_like(padded) for _ in range(world)]
    dist.all_gather(everyone, padded)
    lengths = [(part := share(total, number, world)).stop - part.start for number in range(world)]
    return torch.cat([part[:length] for part, length in zip(everyone, lengths, strict=True)])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.rows = len(rows)
        everyone = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(world_size())]
        dist.all_gather(everyone, rows.contiguous())
        return torch.cat(everyone)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[ctx.rows * rank() : ctx.rows * (rank() + 1)]
