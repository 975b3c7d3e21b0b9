"""How tasks behave when something fails: what may pass is tried again, all else stops at once."""

from typing import Any, TypedDict

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from croma.errors import TransientError


class Retries(TypedDict):
    """Arguments of a Prefect task."""

    retries: int
    retry_delay_seconds: list[float]
    retry_jitter_factor: float
    retry_condition_fn: Any


def _is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    failure = state.result(raise_on_failure=False)
    return isinstance(failure, TransientError)


TRANSIENT = Retries(
    retries=3,
    retry_delay_seconds=[2.0, 20.0, 120.0],
    retry_jitter_factor=0.5,
    retry_condition_fn=_is_transient,
)
"""Three more tries with growing pauses, for `TransientError` alone."""
