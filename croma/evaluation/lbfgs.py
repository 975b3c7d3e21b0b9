"""Limited-memory BFGS for many smooth convex problems side by side, each with its own step.

The compact form of Byrd, Nocedal and Schnabel (1994) does for all problems in a few matrix products what the two loops
of Nocedal (1980) do in dozens of small ones. The matrix it begins with is the inverse of the Hessian's diagonal, taken
anew now and then: far from the start, curvature may be hundredfold less than it was there.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(points (k, p), numbers (k,) of the problems they belong to) -> values (k,) and gradients (k, p)."""
Curvature = Callable[[Tensor, Tensor], Tensor]
"""The same -> diagonals of the Hessians (k, p), positive."""

_RENEWED = (2, 5, 10, 20, 40, 80, 160, 320)
"""After these steps the diagonal is taken anew."""


class _State(NamedTuple):
    """The problems that are not finished."""

    numbers: Tensor
    """int64 (k,)."""
    points: Tensor
    """(k, p)."""
    values: Tensor
    """(k,)."""
    slopes: Tensor
    """(k, p)."""
    inverse: Tensor
    """(k, p): one over the diagonal."""
    steps: Tensor
    """(k, pairs, p): the last steps, each with `turns` so scaled that they multiply to 1, or 0."""
    turns: Tensor
    """(k, pairs, p): how each step changed the gradient."""


def minimise(
    objective: Objective,
    curvature: Curvature,
    start: Tensor,
    *,
    steps: int = 500,
    tolerance: float = 1e-6,
    memory: int = 10,
) -> Tensor:
    """The minima (m, p) of m problems that start at `start` (m, p).

    A problem is finished when its quadratic model promises to lower it by no more than `tolerance`, or when a step
    lowers it by no more than rounding; finished ones cost nothing.
    """
    result = start.clone()
    numbers = torch.arange(len(start), device=start.device)
    none = start.new_zeros(len(start), 0, start.shape[1])
    state = _State(numbers, start, *objective(start, numbers), 1 / curvature(start, numbers), none, none)
    for step in range(1, steps + 1):
        direction = -_times_inverse_hessian(state)
        promised = -(state.slopes * direction).sum(1) / 2
        moved, values, slopes, stuck = _line_search(objective, state, direction)
        settled = state.values - values <= 4 * torch.finfo(values.dtype).eps * values.abs()
        state = _remember(state, moved, values, slopes, memory)
        finished = stuck | settled | (promised <= tolerance)
        if finished.any():
            result[state.numbers[finished]] = state.points[finished]
            state = _State(*(each[~finished] for each in state))
        if not len(state.numbers):
            return result
        if step in _RENEWED:
            state = state._replace(inverse=1 / curvature(state.points, state.numbers))
    result[state.numbers] = state.points
    return result


def _remember(state: _State, points: Tensor, values: Tensor, slopes: Tensor, memory: int) -> _State:
    """The state after a step, which joins the last `memory` ones."""
    step, turn = points - state.points, slopes - state.slopes
    bent = (step * turn).sum(1)
    scale = torch.where(bent > torch.finfo(bent.dtype).tiny, bent, torch.inf).rsqrt()[:, None]
    past = slice(-memory + 1, None)
    return state._replace(
        points=points,
        values=values,
        slopes=slopes,
        steps=torch.cat([state.steps[:, past], (step * scale)[:, None]], dim=1),
        turns=torch.cat([state.turns[:, past], (turn * scale)[:, None]], dim=1),
    )


def _times_inverse_hessian(state: _State) -> Tensor:
    """(k, p): the gradients times the inverse that the pairs of steps and turns tell."""
    steps, turns, inverse, slopes = state.steps, state.turns, state.inverse, state.slopes
    if not steps.shape[1]:
        return inverse * slopes
    bent = turns * inverse[:, None]
    inner = (bent @ turns.mT).double()  # Y'HY
    # The diagonal is right in shape, the last step says how large it is.
    size = inner[:, -1, -1]
    size = torch.where(size > 0, 1 / size, 1.0)[:, None]
    inner = inner * size[:, :, None]
    upper = (steps @ turns.mT).double().triu(1) + torch.eye(steps.shape[1], dtype=torch.float64, device=steps.device)
    along = (steps @ slopes[:, :, None]).double()
    across = (bent @ slopes[:, :, None]).double() * size[:, :, None]
    found = torch.linalg.solve_triangular(upper, along, upper=True)
    back = torch.linalg.solve_triangular(upper.mT, found + inner @ found - across, upper=False)
    rest = slopes - (turns.mT @ found.to(turns.dtype))[:, :, 0]
    product: Tensor = size.to(rest.dtype) * inverse * rest + (steps.mT @ back.to(steps.dtype))[:, :, 0]
    return product


def _line_search(objective: Objective, state: _State, direction: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Halve the step of each problem until it descends enough (Armijo).

    Returns points, values and slopes, and which could not move.
    """
    descent = (state.slopes * direction).sum(1)
    trial = state.points + direction
    values, slopes = objective(trial, state.numbers)
    good = values <= state.values + 1e-4 * descent
    if good.all():
        return trial, values, slopes, ~good
    points = torch.where(good[:, None], trial, state.points)
    slopes, values = torch.where(good[:, None], slopes, state.slopes), torch.where(good, values, state.values)
    waiting, length = (~good).nonzero().squeeze(1), 0.5
    for _ in range(30):
        trial = state.points[waiting] + length * direction[waiting]
        found, leaning = objective(trial, state.numbers[waiting])
        good = found <= state.values[waiting] + 1e-4 * length * descent[waiting]
        accepted = waiting[good]
        points[accepted], values[accepted], slopes[accepted] = trial[good], found[good], leaning[good]
        waiting = waiting[~good]
        if not len(waiting):
            break
        length /= 2
    stuck = torch.zeros_like(values, dtype=torch.bool)
    stuck[waiting] = True
    return points, values, slopes, stuck
