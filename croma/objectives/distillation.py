"""CMID's local branch: cells that show the same ground in two views agree on their prototype, as teacher and student.

After NJU-LHRS/official-CMID at 6e1de74, `Pretrain/models/contrastive_utils.py`; the loss is DINO's (Caron et al. 2021).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

STUDENT_TEMPERATURE = 0.1


class Matches(NamedTuple):
    """Pairs of cells of two views. Both int64 (b, m), numbers of cells."""

    of: Tensor
    to: Tensor


def match(places: Tensor, others: Tensor, count: int) -> Matches:
    """The `count` cells of one view that lie nearest to a cell of the other, with that cell.

    Args:
        places: (b, n, 2), where the cells of one view lie.
        others: (b, m, 2), where those of the other lie.
        count: at most n; of equally near cells the first.
    """
    nearest = torch.cdist(places, others, compute_mode="donot_use_mm_for_euclid_dist").min(dim=2)
    order = torch.argsort(nearest.values, dim=1, stable=True)[:, :count]
    return Matches(of=order, to=nearest.indices.gather(1, order))


def at(tokens: Tensor, cells: Tensor) -> Tensor:
    """Tokens (b, m, D) of the `cells` (b, m) of each image, from all tokens (b, n, D)."""
    return tokens.gather(1, cells[..., None].expand(-1, -1, tokens.shape[2]))


class PrototypeHead(nn.Module):
    """Scores of prototypes: an MLP to a unit vector, compared with unit prototypes. No batch norm, so that samples stay
    apart.
    """

    def __init__(self, features: int, hidden: int, bottleneck: int, prototypes: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )
        self.prototypes = nn.Parameter(nn.Linear(bottleneck, prototypes, bias=False).weight.detach().clone())

    def forward(self, tokens: Tensor) -> Tensor:
        """(…, D) to float32 (…, prototypes)."""
        unit = functional.normalize(self.mlp(tokens).float(), dim=-1)
        with torch.autocast(unit.device.type, enabled=False):
            return functional.linear(unit, functional.normalize(self.prototypes.float(), dim=1))


def prototype_loss(student: Tensor, teacher: Tensor, centre: Tensor, temperature: Tensor | float) -> Tensor:
    """Cross entropy of the student's prototypes against the teacher's, centred and sharpened.

    Args:
        student: float32 (…, prototypes), scores.
        teacher: as `student`; receives no gradient.
        centre: (prototypes,), moving mean of the teacher's scores.
        temperature: of the teacher.

    Returns:
        Scalar, the mean.
    """
    wanted = torch.softmax((teacher.detach() - centre) / temperature, dim=-1)
    return -(wanted * torch.log_softmax(student / STUDENT_TEMPERATURE, dim=-1)).sum(dim=-1).mean()
