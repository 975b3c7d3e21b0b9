"""A recipe: the whole of a run as one document, without an address in it."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field

from croma.building.spec import BuildSpec
from croma.document import Document
from croma.errors import InputError
from croma.evaluation.spec import EvalSpec
from croma.training.spec import TrainSpec

Kind = TypeVar("Kind", bound=Document)


class Recipe(Document):
    """What to build, what to learn from it, how to judge the result."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
    """Names the experiment in MLflow and the registered model: lower-case letters, digits and dashes."""
    dataset: BuildSpec
    pretrain: TrainSpec
    evaluate: EvalSpec


def recipe_names(folder: str = "") -> list[str]:
    """Recipes that come with the package; of `compare`, the comparisons."""
    entries = files("croma.recipes").joinpath(folder).iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def load_recipe(name: str) -> Recipe:
    """The recipe at a path, or one that comes with the package by its name.

    Raises:
        InputError: there is none, or it is wrong: every problem with its path.
    """
    return load(Recipe, name)


def load(kind: type[Kind], name: str, folder: str = "") -> Kind:
    """A document of a kind, see `load_recipe`; `folder` is where those lie that come with the package."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return kind.from_yaml(path)
    known = recipe_names(folder)
    if name in known:
        return kind.from_yaml(Path(str(files("croma.recipes").joinpath(folder, f"{name}.yaml"))))
    raise InputError(f"recipe {name}: no such file, and no recipe of that name; there are {', '.join(known)}")
