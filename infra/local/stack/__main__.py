"""The local stack without containers: `python -m infra.local.stack up`."""

import json
import logging
import os
import shlex
import sys
from pathlib import Path

import typer

from infra.local.stack import imagery, parts
from infra.local.stack.process import StackError
from infra.local.stack.site import PORTS, StackSite

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def site() -> StackSite:
    """The stack of this checkout; CROMA_STACK_HOME and CROMA_STACK_SHIFT move it."""
    home = Path(os.environ.get("CROMA_STACK_HOME", ".croma/stack"))
    return StackSite(home.absolute(), int(os.environ.get("CROMA_STACK_SHIFT", "0")))


@app.command()
def up() -> None:
    """Start every server that does not run, and wait until it answers."""
    for name, seconds in parts.up(site()):
        typer.echo(f"{name:12}  {'runs' if not seconds else f'up in {seconds:.1f} s'}")
    typer.echo('In a shell of yours: eval "$(python -m infra.local.stack env)"')


@app.command()
def down() -> None:
    """Stop every server that runs. Data stay in the stack's home."""
    for name in parts.down(site()):
        typer.echo(f"{name:12}  stopped")


@app.command()
def restart(name: str) -> None:
    """Stop one server and start it again."""
    typer.echo(f"{name} answers again after {parts.restart(site(), name):.1f} s")


@app.command()
def status() -> None:
    """Which servers run, where, and how much memory each holds for itself."""
    here, total = site(), 0
    for process in parts.parts(here):
        running, memory = process.find(), process.memory()
        total += memory
        port = PORTS.get(process.name)
        where = f"127.0.0.1:{here.port(process.name)}" if port else ""
        typer.echo(
            f"{process.name:12}  {f'pid {running.pid}' if running else 'down':10}  {memory / 2**20:5.0f} MiB  {where}"
        )
    typer.echo(f"{'in all':12}  {'':10}  {total / 2**20:5.0f} MiB")


@app.command()
def env() -> None:
    """Print the exports that make clients find the stack. They hold its passwords."""
    for name, value in site().environment().items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def load(folder: Path) -> None:
    """Put a folder of imagery (items.json, collections, files) into the bucket and the catalog."""
    counted = imagery.load(site(), folder)
    typer.echo(json.dumps(counted))


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    try:
        app()
    except StackError as error:
        typer.echo(f"failed: {error}", err=True)
        sys.exit(1)
