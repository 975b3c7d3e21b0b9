"""Which radar and optical acquisitions make a pair: pure functions over scenes and times."""

from typing import Annotated

from pydantic import Field

from croma.document import Document
from croma.grid import Cell


class Pair(Document):
    """One radar and one optical acquisition of one place. Scenes are named by id; the plan that holds the pair has them."""

    chip: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    """Id of the chip it becomes (`croma.chip.chip_id`)."""
    cell: Cell
    radar: str
    """Id of the radar scene; its footprint covers the whole chip."""
    optical: str
    """Id of the optical scene; its footprint covers the whole chip."""
    labels: tuple[str, ...] = ()
    """Ids of the label scenes that meet the chip, in the order they are laid over it; empty: no label here."""
    gap_hours: float
    """t_radar - t_optical in hours."""
