"""The command line: each command takes a recipe and finds its site in the environment.

Exit codes: 0 done, 1 failed, 2 wrong input.
"""

import signal
import sys

from croma import logs
from croma.cli.commands import app
from croma.cli.show import console
from croma.errors import CromaError, InputError


def main() -> None:
    """Run a command; print what we raise on purpose as sentences, not as a traceback."""
    logs.configure("croma", "flows")
    # As Ctrl-C does: or the servers that a command has started would outlive it.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        app()
    except InputError as error:
        for problem in error.problems:
            console.print(f"[bold red]wrong input[/]  {_plain(problem)}", soft_wrap=True)
        sys.exit(2)
    except CromaError as error:
        console.print(f"[bold red]failed[/]  {_plain(str(error))}", soft_wrap=True)
        sys.exit(1)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
