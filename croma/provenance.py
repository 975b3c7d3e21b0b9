"""Which code is running: written into runs and weights."""

import os
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def code_version() -> str:
    """The commit (with `-dirty` when files differ from it); outside a checkout what the image says, or the version."""
    try:
        # Not the repository of somebody who installed us inside theirs.
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return os.environ.get("CROMA_CODE_VERSION") or version("croma-pipeline")


def _git(*words: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
