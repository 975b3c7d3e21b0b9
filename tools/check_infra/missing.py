"""Programs that a check runs, found in this environment or on the machine."""

import shutil
import sys
from pathlib import Path


class MissingProgramError(Exception):
    """A program that a check needs is not installed."""


def program(name: str, remedy: str) -> str:
    """The path of a program.

    Raises:
        MissingProgramError: it is nowhere; with what brings it.
    """
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise MissingProgramError(f"{name} is missing: {remedy}")
    return found
