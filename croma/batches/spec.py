"""What a recipe says about batches. Standard library alone, so that recipes are read without torch."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """What is drawn for a sample; both sensors get the same."""

    crop: tuple[int, int] = (60, 180)
    """Smallest and largest side of the square that is cut from a chip, in pixels of 10 m, and resized to the model's
    image. Published: 60 to 180 of 264 px, resized to 120."""
    turns: bool = True
    """The eight flips and quarter turns of a square, equally often."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        low, high = self.crop
        if not 2 <= low <= high:
            raise ValueError(f"crop is {low} to {high} px; it rises and starts at 2 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How batches are read. Changes speed and memory, never content."""

    threads: int = 2
    """Readers of each worker."""
    depth: int = 3
    """Batches in the ring: one in use, the others ready or being filled. At least 2."""
    ahead: int | None = None
    """Steps whose chips are requested from remote storage before they are needed; unset: as many as a shuffle window
    takes and a quarter more, so that the next window arrives while this one is used and requests never cease."""
    memory_gb: float = 2.0
    """Memory of each worker for batches that arrive from remote storage, in 10⁹ bytes, where no disk keeps them."""
    verify: bool = True
    """Compare every chip with its checksum at its first use in a process."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        low = [f"memory_gb is {self.memory_gb}; it is more than 0"] if self.memory_gb <= 0 else []
        low += [
            f"{name} is {value}; it is at least {least}"
            for name, value, least in (("threads", self.threads, 1), ("depth", self.depth, 2), ("ahead", self.ahead, 1))
            if value is not None and value < least
        ]
        if low:
            raise ValueError("; ".join(low))
