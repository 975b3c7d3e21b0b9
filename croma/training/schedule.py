"""The learning rate of every step. Standard library alone."""

import math
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Linear warm-up, then half a cosine down to a share of the peak (Loshchilov and Hutter 2017, "SGDR")."""

    lr: float = 1.5e-4
    """The peak, as the optimiser takes it: scale it yourself with the global batch."""
    warmup: int = 0
    """Steps of the warm-up."""
    final: float = 0.0
    """Share of the peak that is left at the last step, 0 to 1."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.lr < math.inf:
            problems.append(f"lr is {self.lr}; it is above 0")
        if self.warmup < 0:
            problems.append(f"warmup is {self.warmup}; it is at least 0")
        if not 0 <= self.final <= 1:
            problems.append(f"final is {self.final}; it is 0 to 1")
        if problems:
            raise ValueError("; ".join(problems))

    def rate(self, step: int, steps: int) -> float:
        """The rate of step `step` of `steps`, counted from 0.

        Law: it rises to `lr` over the warm-up, reaches it at step `warmup`, and falls to `final * lr` at the last step.
        """
        if step < self.warmup:
            return self.lr * (step + 1) / (self.warmup + 1)
        done = (step - self.warmup) / max(steps - 1 - self.warmup, 1)
        cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        return self.lr * (self.final + (1 - self.final) * cosine)
