"""What a recipe says about steps. Standard library alone, so that recipes are read without torch."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

Precision = Literal["float32", "bfloat16"]
Sharding = Literal["replicated", "sharded"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019). Weights of matrices decay; nothing else does."""

    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    clip: float | None = 1.0
    """Longest gradient, over all parameters together; None leaves it as long as it is."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        problems = []
        if not 0 <= self.weight_decay < math.inf:
            problems.append(f"weight_decay is {self.weight_decay}; it is at least 0")
        if not all(0 <= beta < 1 for beta in self.betas):
            problems.append(f"betas are {self.betas}; each is at least 0 and below 1")
        if self.eps <= 0:
            problems.append(f"eps is {self.eps}; it is above 0")
        if self.clip is not None and self.clip <= 0:
            problems.append(f"clip is {self.clip}; it is above 0, or null")
        if problems:
            raise ValueError("; ".join(problems))


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """What is done when a loss or gradient is not finite, or the loss jumps."""

    action: Literal["stop", "rewind"] = "stop"
    """`stop`: end the run with the chips named. `rewind`: go back to the newest checkpoint and leave this batch out."""
    spike: float | None = None
    """A loss above this many times the median of the last `memory` steps is a fault; None: only what is not finite."""
    memory: int = 64
    """Steps that the median is taken over; before that many are known, nothing is a spike."""
    rewinds: int = 10
    """After so many the run is stopped."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        problems = []
        if self.spike is not None and self.spike <= 1:
            problems.append(f"spike is {self.spike}; it is above 1, or null")
        if self.memory < 1:
            problems.append(f"memory is {self.memory}; it is at least 1")
        if self.rewinds < 0:
            problems.append(f"rewinds is {self.rewinds}; it is at least 0")
        if problems:
            raise ValueError("; ".join(problems))
