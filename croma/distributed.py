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


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.rows = len(rows)
        everyone = rows.new_empty((len(rows) * world_size(), *rows.shape[1:]))
        dist.all_gather_into_tensor(everyone, rows.contiguous())
        return everyone

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[ctx.rows * rank() : ctx.rows * (rank() + 1)]
