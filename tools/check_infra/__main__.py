"""Check images, compose, manifests, Terraform, `ray up`, dashboard and locks, offline: `python -m tools.check_infra`.

Prints every problem with its file and leaves with 1 when there is one. What needs a program that is missing here is
said to be skipped; in CI nothing may be.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tools.check_infra import compose, dashboard, dockerfiles, lock, manifests, ray_up, terraform, yaml_style
from tools.check_infra.missing import MissingProgramError

REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.check_infra", description=__doc__)
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="another tree than this repository")
    given = parser.parse_args()
    checks: dict[str, Callable[[Path], list[str]]] = {
        "yaml": yaml_style.check,
        "images": dockerfiles.check,
        "compose": compose.check,
        "manifests": manifests.check,
        "ray up": ray_up.check,
        "terraform": terraform.check,
        "dashboard": dashboard.check,
        "locks": lock.check,
    }
    failed = False
    for name, check in checks.items():
        try:
            problems = check(given.root)
        except MissingProgramError as missing:
            failed |= "CI" in os.environ
            sys.stdout.write(f"{name}: skipped, {missing}\n")
            continue
        failed |= bool(problems)
        sys.stdout.write("".join(f"{name}: {problem}\n" for problem in problems) or f"{name}: good\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
