"""The door to Ray Jobs: run a command on a cluster from outside it. Ray's token comes from RAY_AUTH_TOKEN.

A job is known by its name: whoever asks for it again while it runs is attached to it, so a flow that was restarted
does not start a second training.
"""

import asyncio
import logging
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from aiohttp import ClientError
from ray.dashboard.modules.job.common import JobStatus
from ray.dashboard.modules.job.sdk import JobSubmissionClient
from ray.exceptions import AuthenticationError

from croma import ray_access
from croma.errors import ContractError, InputError, TransientError

log = logging.getLogger(__name__)

_POLL_SECONDS, _PATIENCE_SECONDS = 2.0, 300.0
"""A head that is restarted or moved answers again within the second."""
_LAST_WORDS_SECONDS = 10.0
EXIT_CODES = {InputError: 2, ContractError: 3}
"""How a job says which kind of error ended it; any other code is one that may be tried again."""


def run_job(
    address: str,
    name: str,
    command: Sequence[str],
    notes: Mapping[str, str] | None = None,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Run `command` on the cluster at `address` (http://host:8265) and wait for its end.

    Args:
        address: of the cluster's dashboard.
        name: of the job; a running job of this name is waited for instead.
        command: program and arguments, found by the cluster's PATH.
        notes: kept with the job; `stop_jobs` finds it by them.
        tell: given every line of the job's log, from a thread; without it this module's logger is.

    Raises:
        InputError: the cluster refuses our token.
        InputError, ContractError: the job ended with that error; with the end of its log.
        TransientError: the job failed otherwise, or the cluster does not answer.
    """
    client = _client(address)
    running = _running(client, name)
    if running is None:
        running = f"{name}-{time.time_ns() // 1_000_000}"
        client.submit_job(entrypoint=shlex.join(command), submission_id=running, metadata=dict(notes or {}))
        log.info("job %s submitted to %s", running, address)
    else:
        log.info("job %s runs already on %s; waiting for it", running, address)
    with _passing_on(client, running, tell):
        _follow(client, running)


def stop_jobs(address: str, notes: Mapping[str, str]) -> list[str]:
    """Stop the running jobs that carry all of `notes`; their ids."""
    client = _client(address)
    found = [
        job.submission_id
        for job in client.list_jobs()
        if job.submission_id and not job.status.is_terminal() and notes.items() <= (job.metadata or {}).items()
    ]
    for job in found:
        client.stop_job(job)
    return found


def _client(address: str) -> JobSubmissionClient:
    ray_access.read_environment()
    try:
        client = JobSubmissionClient(address)
        client.get_version()
    except AuthenticationError as error:
        raise ray_access.refused(address) from error
    except (ConnectionError, RuntimeError) as error:
        raise TransientError(f"Ray cluster {address}: does not answer ({error})") from error
    return client


def _running(client: JobSubmissionClient, name: str) -> str | None:
    """The id of a running job of this name; the newest where there are several."""
    started = [
        job.submission_id
        for job in client.list_jobs()
        if job.submission_id and job.submission_id.rpartition("-")[0] == name and not job.status.is_terminal()
    ]
    return max(started, default=None)


def _follow(client: JobSubmissionClient, job: str) -> None:
    heard = time.monotonic()
    while True:
        try:
            info = client.get_job_info(job)
            heard = time.monotonic()
        except (ConnectionError, RuntimeError) as error:
            if time.monotonic() - heard > _PATIENCE_SECONDS:
                raise TransientError(f"job {job}: the cluster does not answer any more ({error})") from error
            time.sleep(_POLL_SECONDS)
            continue
        if info.status == JobStatus.SUCCEEDED:
            return
        if info.status.is_terminal():
            words = f"job {job} {info.status.value.lower()}: {_last_words(client, job) or info.message}"
            kinds = {code: kind for kind, code in EXIT_CODES.items()}
            raise kinds.get(info.driver_exit_code or 1, TransientError)(words)
        time.sleep(_POLL_SECONDS)


@contextmanager
def _passing_on(client: JobSubmissionClient, job: str, tell: Callable[[str], None] | None) -> Iterator[None]:
    """Pass on the lines of a job's log while the block runs; what its end has said is waited for."""
    over = threading.Event()
    reader = threading.Thread(target=_read_log, args=(client, job, tell, over), daemon=True)
    reader.start()
    try:
        yield
    finally:
        over.set()
        reader.join(_LAST_WORDS_SECONDS)


def _read_log(client: JobSubmissionClient, job: str, tell: Callable[[str], None] | None, over: threading.Event) -> None:
    told = 0

    async def read() -> None:
        nonlocal told
        position, rest = 0, ""
        async for text in client.tail_job_logs(job):  # from the beginning, every time
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                position += 1
                if position > told:
                    told = position
                    _say(line, tell)
        if rest:
            _say(rest, tell)

    while True:
        try:
            asyncio.run(read())
        except (ClientError, RuntimeError, OSError):  # the head is away, or the job has not begun to write
            if over.wait(_POLL_SECONDS):
                return
        else:
            return


def _say(line: str, tell: Callable[[str], None] | None) -> None:
    if tell is not None:
        tell(line)
    else:
        log.info("%s", line)


def _last_words(client: JobSubmissionClient, job: str) -> str:
    try:
        lines = client.get_job_logs(job).strip().splitlines()
    except (ConnectionError, RuntimeError):
        return ""
    return "\n".join(lines[-10:])
