"""The door to Ray tasks: one function called with many arguments on the nodes of a cluster.

Calls belong to the process that makes them: where it ends, however it ends, what is still running on the nodes is
stopped. A call whose worker or node dies is made again elsewhere, so the function must be one that may be called twice.
Ray's token comes from RAY_AUTH_TOKEN.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import ray
from ray.exceptions import AuthenticationError, RayError, RayTaskError

from croma import ray_access
from croma.errors import CromaError, TransientError

log = logging.getLogger(__name__)

_ATTEMPTS, _PAUSE = 3, 5.0
"""Tries to join a cluster; the second waits so many seconds, the third twice as long."""

Result = TypeVar("Result")

LOSSES = 8
"""So often a call is made again whose worker or node dies; what kills more is not chance."""
_LOOK_SECONDS, _PATIENCE_SECONDS = 1.0, 10.0


class LeftError(CromaError):
    """The cluster was left before all was done; where there is none to work on, trying again is of no use."""

    def __init__(self) -> None:
        super().__init__("the Ray cluster was left before all was done")


class _Presence:
    """Whether this process leaves its cluster, which must wait until no thread makes calls any more."""

    def __init__(self) -> None:
        self.leaving = False
        self._callers = 0
        self._change = threading.Condition()

    @contextmanager
    def calling(self) -> Iterator[None]:
        with self._change:
            self._callers += 1
        try:
            yield
        finally:
            with self._change:
                self._callers -= 1
                self._change.notify_all()

    def leave(self) -> None:
        """Ask the callers to end, and wait for it."""
        self.leaving = True
        with self._change:
            self._change.wait_for(lambda: not self._callers, _PATIENCE_SECONDS)


_presence = _Presence()


class Share(NamedTuple):
    """What one call takes of a node; so many calls run there at once as have room."""

    cpus: float
    memory: int
    """Bytes."""


@contextmanager
def join(address: str) -> Iterator[None]:
    """Be a driver of the cluster at `address` for the time of the block; in one already, stay in it.

    Args:
        address: `ray://host:10001` from outside, `auto` or `host:6379` on one of its nodes.

    Raises:
        InputError: the cluster refuses our token.
        TransientError: the cluster does not answer, or has another version of Ray or Python.
    """
    _presence.leaving = False
    known = ray.is_initialized()
    if not known:
        _init(address)
    try:
        yield
    finally:
        _presence.leave()
        if not known:
            ray.shutdown()


def _init(address: str) -> None:
    ray_access.read_environment()
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            ray.init(address, configure_logging=False, log_to_driver=False)
        except AuthenticationError as error:
            raise ray_access.refused(address) from error
        except Exception as error:  # Ray raises plain Exception where it is slow to answer
            ray.shutdown()
            if attempt == _ATTEMPTS:
                raise TransientError(f"Ray cluster {address}: cannot be joined ({error})") from error
            # A busy head needs longer to start a driver for us than the half minute that Ray gives it.
            log.warning("Ray cluster %s: cannot be joined (%s); trying again", address, error)
            time.sleep(_PAUSE * attempt)
        else:
            return


def spread(
    function: Callable[..., Result], calls: Sequence[tuple[Any, ...]], share: Share
) -> Iterator[tuple[int, Result]]:
    """Call `function` with each of `calls` on the cluster that this process has joined; results as they come.

    Args:
        function: of a module, which the nodes import for themselves.
        calls: arguments; small, for they are sent.
        share: what each call takes.

    Yields:
        The number of a call, and its result. Where this is left early, by an error or otherwise, the rest is cancelled.

    Raises:
        CromaError: what a call has raised.
        TransientError: nodes kept dying.
        LeftError: this process leaves the cluster, or is in none.
    """
    if not ray.is_initialized():
        raise LeftError
    _check_room(share)
    remote = ray.remote(num_cpus=share.cpus, memory=share.memory, max_retries=LOSSES)(function)
    with _presence.calling():
        numbers = {remote.remote(*call): number for number, call in enumerate(calls)}
        waiting = list(numbers)
        try:
            while waiting:
                done, waiting = ray.wait(waiting, timeout=_LOOK_SECONDS)
                for ref in done:
                    yield numbers[ref], _result(ref)
                if _presence.leaving:
                    raise LeftError
        finally:
            for ref in waiting:
                ray.cancel(ref)


def _result(ref: Any) -> Any:
    try:
        return ray.get(ref)
    except RayTaskError as error:
        if isinstance(error.cause, CromaError):
            raise error.cause from None
        raise
    except RayError as error:
        kind = type(error).__name__
        raise TransientError(f"Ray cluster: a call was lost with its node or worker ({kind})") from error


def _check_room(share: Share) -> None:
    """Say so where no node has room: a cluster that grows may bring one, any other never will."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    rooms = [node["Resources"] for node in nodes if node["Alive"]]
    if not any(room.get("CPU", 0) >= share.cpus and room.get("memory", 0) >= share.memory for room in rooms):
        log.warning(
            "no node has %g CPUs and %.1f GB of memory; waiting for one that has", share.cpus, share.memory / 1e9
        )
