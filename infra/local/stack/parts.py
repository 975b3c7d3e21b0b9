"""All servers of the stack, in the order in which they start."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from infra.local.stack import postgres, s3, services, stac
from infra.local.stack.process import Process, StackError
from infra.local.stack.site import StackSite


def parts(site: StackSite) -> list[Process]:
    """Every server; each needs only those before it."""
    return [
        postgres.process(site),
        s3.process(site),
        stac.process(site),
        services.prefect(site),
        services.mlflow(site),
        *services.ray(site),
        *services.workers(site),
    ]


def part(site: StackSite, name: str) -> Process:
    """A server by its name.

    Raises:
        StackError: there is none of that name.
    """
    named = {process.name: process for process in parts(site)}
    if name not in named:
        raise StackError(f"no server {name}; there are {', '.join(named)}")
    return named[name]


def up(site: StackSite) -> Iterator[tuple[str, float]]:
    """Start what does not run; the name of each server, and the seconds it took (0 when it ran)."""
    for process in parts(site):
        yield process.name, process.start()


@contextmanager
def running(site: StackSite, tell: Callable[[str], object]) -> Iterator[None]:
    """Start what does not run, and stop that again, whatever happens; `tell` is given a line for each server."""
    before = {process.name for process in parts(site) if process.find() is not None}
    try:
        for name, seconds in up(site):
            tell(f"{name:12}  {f'up in {seconds:.1f} s' if seconds else 'runs'}")
        yield
    finally:
        for name in down(site, before):
            tell(f"{name:12}  stopped")


def down(site: StackSite, keep: Collection[str] = ()) -> Iterator[str]:
    """Stop what runs, last things first, but what is to be kept; the name of each server that was stopped."""
    for process in reversed(parts(site)):
        if process.name not in keep and process.find() is not None:
            process.stop()
            yield process.name


def restart(site: StackSite, name: str) -> float:
    """Stop a server and start it again; seconds until it answered."""
    process = part(site, name)
    process.stop()
    return process.start()
