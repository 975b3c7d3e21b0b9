"""Land cover beside a chip: the label layer cut on the chip's own grid, nearest neighbour."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from croma.catalog.scene import Scene
from croma.chip import Chip
from croma.errors import UnusableError
from croma.raster.read import Signer, Want, read_wants

LABEL = "label"
"""Name of the asset of a label scene."""

Classes = npt.NDArray[np.uint8]


class Place(NamedTuple):
    """A chip that is to be labelled."""

    chip: Chip
    scenes: tuple[Scene, ...]
    """Tiles of the label layer that meet it, in the order they are laid over it; may be none."""


def label(places: Sequence[Place], size: int, signer: Signer, pool: Executor) -> list[Chip | UnusableError]:
    """The chips with their label plane and its facts; an error for one whose label cannot be read.

    Raises:
        TransientError: a server does not answer.
    """
    wants = [
        Want(scene, LABEL, chip.cell.geobox(size), np.zeros((size, size), np.uint8))
        for chip, scenes in places
        for scene in scenes
    ]
    found = iter(zip(wants, read_wants(wants, signer, pool), strict=True))
    results: list[Chip | UnusableError] = []
    for chip, scenes in places:
        plane = np.zeros((size, size), np.uint8)
        fault: UnusableError | None = None
        for want, result in [next(found) for _ in scenes]:
            if isinstance(result, UnusableError):
                fault = fault or result
            else:
                np.copyto(plane, want.out, where=want.out != 0)
        results.append(fault or replace(chip, label=plane, facts=chip.facts | summary(plane)))
    return results


def summary(plane: Classes) -> dict[str, Any]:
    """The columns of the index that a label plane gives: its commonest class and the share of every class.

    Of classes that are equally common the lowest code is taken. Unlabelled pixels count for nothing.
    """
    codes, counts = np.unique(plane[plane != 0], return_counts=True)
    if not codes.size:
        return {"label": None, "label_shares": {}}
    shares = {str(code): round(float(count / counts.sum()), 6) for code, count in zip(codes, counts, strict=True)}
    return {"label": int(codes[counts.argmax()]), "label_shares": shares}
