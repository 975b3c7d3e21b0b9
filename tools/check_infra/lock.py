"""The locks: every version is fixed, and the lock holds what pyproject.toml asks for in the range that it asks for."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = ("constraints.txt", "infra/local/stack/stac-requirements.txt")
APART = {"torch"}
"""Fixed in the Makefile and the Dockerfile: its build for CPU has another version than its build for CUDA."""
UNLOCKED = {"bench", "bench-load"}
"""Extras of others' programs to compare with, in the versions of the day."""
_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[\w,-]+\])?==(\d[\w.!+-]*)(?: *;.*)?")


def check(root: Path) -> list[str]:
    """Problems of the locks below `root`."""
    problems = []
    for name in LOCKS:
        fixed, loose = _read(root / name)
        problems += [f"{name}: {line!r} fixes no version" for line in loose]
        if name == LOCKS[0]:
            problems += [f"{name}: {problem}; run make lock" for problem in _behind(root / "pyproject.toml", fixed)]
    return problems


def _read(path: Path) -> tuple[dict[str, str], list[str]]:
    """Versions by package, and the lines that are none."""
    fixed: dict[str, str] = {}
    loose = []
    for line in path.read_text().splitlines():
        words = line.partition(" #")[0].strip()
        if not words or words.startswith("#"):
            continue
        match = _PIN.fullmatch(words)
        if match:
            fixed[canonicalize_name(match[1])] = match[2]
        else:
            loose.append(words)
    return fixed, loose


def _behind(project: Path, fixed: dict[str, str]) -> Iterator[str]:
    content = tomllib.loads(project.read_text())["project"]
    extras = content["optional-dependencies"].items()
    groups = [content["dependencies"], *(group for extra, group in extras if extra not in UNLOCKED)]
    wanted = [Requirement(text) for group in groups for text in group]
    for requirement in wanted:
        name = canonicalize_name(requirement.name)
        if name in APART or name == canonicalize_name(content["name"]):
            continue
        if name not in fixed:
            yield f"{name} is missing"
        elif not requirement.specifier.contains(fixed[name], prereleases=True):
            yield f"{name} {fixed[name]} is not {requirement.specifier}"
