"""Limited-memory BFGS for many smooth convex problems side by side (Nocedal 1980), each with its own step."""

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(points (k, p), numbers (k,) of the problems they belong to) -> values (k,) and gradients (k, p)."""


def minimise(
    objective: Objective, start: Tensor, *, steps: int = 500, tolerance: float = 1e-7, memory: int = 10
) -> Tensor:
    """The minima (m, p) of m problems that start at `start` (m, p).

    A problem is finished when its quadratic model promises to lower it by no more than `tolerance`, or when a step
    lowers it by no more than rounding; finished ones cost nothing.
    """
    result = start.clone()
    active = torch.arange(len(start), device=start.device)
    points = start
    values, slopes = objective(points, active)
    history: deque[tuple[Tensor, Tensor]] = deque(maxlen=memory)
    for _ in range(steps):
        direction = -_times_inverse_hessian(slopes, history)
        promised = -(slopes * direction).sum(1) / 2
        moved, new_values, new_slopes, stuck = _line_search(objective, points, values, slopes, direction, active)
        history.append((moved - points, new_slopes - slopes))
        settled = values - new_values <= 4 * torch.finfo(values.dtype).eps * values.abs()
        points, values, slopes = moved, new_values, new_slopes
        finished = stuck | settled | (promised <= tolerance)
        if finished.any():
            result[active[finished]] = points[finished]
            going = ~finished
            active, points, values, slopes = active[going], points[going], values[going], slopes[going]
            history = deque(((step[going], turn[going]) for step, turn in history), maxlen=memory)
        if not len(active):
            return result
    result[active] = points
    return result


def _times_inverse_hessian(slopes: Tensor, history: deque[tuple[Tensor, Tensor]]) -> Tensor:
    """The two-loop recursion, for every problem at once. Pairs without positive curvature have no say."""
    weights, found = [], slopes
    for step, turn in reversed(history):
        curvature = (step * turn).sum(1, keepdim=True)
        inverse = torch.where(curvature > 1e-12, 1 / curvature, 0.0)
        weight = inverse * (step * found).sum(1, keepdim=True)
        weights.append((inverse, weight))
        found = found - weight * turn
    for (step, turn), (inverse, weight) in zip(history, reversed(weights), strict=True):
        found = found + step * (weight - inverse * (turn * found).sum(1, keepdim=True))
    return found


def _line_search(
    objective: Objective, points: Tensor, values: Tensor, slopes: Tensor, direction: Tensor, active: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Halve the step of each problem until it descends enough (Armijo). Also says which could not move."""
    descent = (slopes * direction).sum(1)
    length = torch.ones_like(values)
    points, values, slopes, before = points.clone(), values.clone(), slopes.clone(), values
    origin, waiting = points.clone(), torch.ones_like(values, dtype=torch.bool)
    for _ in range(30):
        trial = origin[waiting] + length[waiting, None] * direction[waiting]
        new_values, new_slopes = objective(trial, active[waiting])
        good = new_values <= before[waiting] + 1e-4 * length[waiting] * descent[waiting]
        numbers = waiting.nonzero().squeeze(1)
        accepted = numbers[good]
        points[accepted], values[accepted], slopes[accepted] = trial[good], new_values[good], new_slopes[good]
        waiting[accepted] = False
        if not waiting.any():
            break
        length[waiting] /= 2
    return points, values, slopes, waiting
