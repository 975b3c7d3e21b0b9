"""A sweep: one recipe, several learning rates."""

from typing import Annotated

from pydantic import Field

from croma.document import Document
from croma.recipes.recipe import load
from croma.training.sweep import Rates


class Sweep(Document):
    """Pretrainings that differ in the peak of the learning rate."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
    """Names the experiment in MLflow."""
    recipe: str
    """Of which dataset and pretraining are taken: a path, or the name of one that comes with the package."""
    rates: Rates
    """Peaks of the learning rate."""
    steps: int | None = Field(None, ge=2)
    """Optimiser steps of each; the warm-up shrinks with them. Unset: those of the recipe."""


def load_sweep(name: str) -> Sweep:
    """The sweep at a path, or one that comes with the package; see `croma.recipes.recipe.load_recipe`."""
    return load(Sweep, name, "sweeps")
