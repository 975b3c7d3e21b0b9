"""The local stack without containers: `python -m infra.local.stack up`."""

import json
import logging
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from infra.local.stack import parts
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
    from infra.local.stack import imagery

    counted = imagery.load(site(), folder)
    typer.echo(json.dumps(counted))


@app.command("demo")
def run_demo(
    recipe: str = "demo",
    tiny: Annotated[bool, typer.Option(help="A world of 5 km tiles, for a recipe that fits it.")] = False,
    photos: Annotated[Path | None, typer.Option(help="Folder for pictures of the pages.")] = None,
    minutes: float = 60.0,
) -> None:
    """Start everything, run the main job through the servers, take pictures, and stop what was started."""
    # All that a demo needs takes seconds to import, and `status` should not wait for it.
    from croma.recipes.recipe import load_recipe
    from croma.simulate.spec import DEMO, TINY
    from croma.simulate.world import build_world
    from infra.local.stack import demo, imagery
    from infra.local.stack import photos as photographs

    here = site()
    with parts.running(here, typer.echo):
        world = build_world(TINY if tiny else DEMO, here.home / ("tiny" if tiny else "world"))
        typer.echo(f"catalog and bucket hold {json.dumps(imagery.load(here, world.folder))}")
        typer.echo(demo.register(here, recipe).strip())
        seen: dict[str, str] = {}

        def watch(states: dict[str, str]) -> None:
            for flow, state in states.items():
                if seen.get(flow) != state:
                    typer.echo(f"{time.strftime('%H:%M:%S')} {flow}: {state}")
            seen.update(states)

        os.environ.update(here.environment())
        state = demo.wait_for(here, demo.ask_for_run(here, recipe), 60 * minutes, watch)
        if state != "Completed":
            raise StackError(f"the run ended as {state}; the end of its log:\n{demo.logs(here, 'learn-worker')}")
        if photos:
            for picture in photographs.photograph(here, photos, load_recipe(recipe).name):
                typer.echo(f"picture {picture}")


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    try:
        app()
    except StackError as error:
        typer.echo(f"failed: {error}", err=True)
        sys.exit(1)
