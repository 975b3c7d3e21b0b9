"""Renew the lock: one version of every package, for Python 3.11 to 3.13, on Linux and macOS.

torch and what only its CUDA build needs are left out: the Makefile pins torch, and torch pins the rest.
"""

import re
import subprocess
import sys
from pathlib import Path

ACCELERATOR_ONLY = re.compile(r"^(torch|triton|nvidia-|cuda-)")

HEADER = """\
# Versions that were tested together. Made by `make lock` from pyproject.toml; do not edit.
"""


def main(target: Path) -> None:
    """Write the pins to `target`."""
    command = [
        *(str(Path(sys.executable).with_name("uv")), "pip", "compile", "-q", "pyproject.toml", "--extra", "dev"),
        *("--universal", "--python-version", "3.11", "--no-annotate", "--no-header"),
    ]
    pins = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    kept = [line for line in pins if line and not ACCELERATOR_ONLY.match(line)]
    target.write_text(HEADER + "\n".join(kept) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
