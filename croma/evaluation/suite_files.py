"""Suites: named sets of protocols that replace those of a recipe. `quick` and `paper` come along, others are YAML."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from croma.errors import InputError

FIELDS = ("protocols", "chips", "seeds", "baselines", "modalities", "bootstrap", "releases")
"""What a suite may say. Data, labels, image size, pooling, gate and licence stay the recipe's."""


def suite_names() -> list[str]:
    """Suites that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


def read_suite(name: str) -> dict[str, Any]:
    """The fields of the suite at a path, or of one that comes along by its name.

    Raises:
        InputError: there is none, or it says what a suite cannot.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(f"suite {name}: there is no such file")
        text = path.read_text()
    elif name in suite_names():
        text = _folder().joinpath(f"{name}.yaml").read_text()
    else:
        raise InputError(
            f"suite {name}: there is none of that name; there are {', '.join(suite_names())}, or a .yaml file"
        )
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"suite {name}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping) or not content.get("protocols"):
        raise InputError(f"suite {name}: it has no `protocols`")
    if strange := sorted(set(content) - set(FIELDS)):
        raise InputError(f"suite {name}: {', '.join(strange)} belongs into a recipe; a suite says {', '.join(FIELDS)}")
    return dict(content)


def fill_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """An `evaluate` part with its `suite` written out; what stands beside the name wins over the suite."""
    rest = {key: value for key, value in content.items() if key != "suite"}
    return {**read_suite(str(content["suite"])), **rest}


def _folder() -> Any:
    return files("croma.evaluation").joinpath("suites")
