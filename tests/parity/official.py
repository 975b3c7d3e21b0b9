"""The published code, from a checkout that CROMA_OFFICIAL names: antofuller/CROMA at 59505a6. None of it is here."""

import importlib.util
import os
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist

COMMIT = "59505a6bcadbf36ba20767270154bf9f3067c5e7"


def checkout() -> Path | None:
    """The folder of the published code, if there is one."""
    folder = os.environ.get("CROMA_OFFICIAL")
    return Path(folder) if folder else None


def load(folder: Path, name: str) -> ModuleType:
    """The module `name` of the checkout, with what it needs to run today: `np.float`, and a group of one process."""
    np.float = float  # type: ignore[attr-defined]  # noqa: NPY001
    if not dist.is_initialized():
        meeting = Path(tempfile.mkdtemp()) / "meeting"
        dist.init_process_group("gloo", init_method=meeting.as_uri(), rank=0, world_size=1)
    spec = importlib.util.spec_from_file_location(f"official_{name}", folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mask_info(keep: Tensor, tokens: int) -> dict[str, Any]:
    """A mask in the published words: what it keeps, first, then everything else in ascending order."""
    others = [sorted(set(range(tokens)) - set(row.tolist())) for row in keep]
    shuffled = torch.cat((keep, torch.tensor(others)), dim=1)
    hidden = torch.ones(len(keep), tokens).scatter(1, keep, 0.0)
    return {
        "ids_keep": keep,
        "ids_restore": shuffled.argsort(dim=1),
        "len_keep": keep.shape[1],
        "mask_for_mae": hidden,
    }


def noise(*shape: int, seed: int) -> Tensor:
    """Numbers in [0, 1) from integer arithmetic alone, so that they are the same with every release of torch."""
    state = torch.arange(int(np.prod(shape)), dtype=torch.int64) + (seed << 40)
    for shift, factor in ((33, 0x62A9D9ED799705F5), (28, 0x2545F4914F6CDD1D), (32, 0x5851F42D4C957F2D)):
        state = (state ^ ((state >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return (((state >> 40) & 0xFFFFFF).float() / (1 << 24)).view(shape)
