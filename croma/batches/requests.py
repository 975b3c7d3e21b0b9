"""Requests to remote storage: how many are under way, and how often one is tried."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from croma.errors import ContractError, TransientError

log = logging.getLogger(__name__)

BYTES = 2_000_000
"""About how much is asked for at once: enough that, many at a time, latency does not count, and so little that it is in
the processor's cache still when it is written to disk (a third of the time that 8 MB take)."""
REQUESTS = 32
"""Under way at once."""
ATTEMPTS = 4
"""Tries of a request that failed for a passing reason; pauses double from the first."""
PAUSE = 0.5
"""Seconds before the second try."""


def chips_of_a_request(length: int) -> int:
    """Chips of `length` bytes that are asked for at once."""
    return max(1, BYTES // length)


def make_pool() -> ThreadPoolExecutor:
    """A thread for each request that may be under way, started: beside others that fetch it takes ten times as long."""
    pool = ThreadPoolExecutor(REQUESTS, thread_name_prefix="fetch")
    together = threading.Barrier(REQUESTS)
    list(pool.map(lambda _: together.wait(), range(REQUESTS)))
    return pool


def fetch(address: str, offset: int, length: int, once: Callable[[], int], pause: float) -> None:
    """Call `once`, which fetches `length` bytes of a shard from `offset` on and returns how many there were.

    Raises:
        ContractError: the shard is missing or too short.
        TransientError: storage failed, also when tried again.
    """
    for attempt in range(ATTEMPTS):
        try:
            got = once()
            break
        except FileNotFoundError:
            raise ContractError(f"{address}: the shard is missing; restore or rebuild it") from None
        except TransientError as error:
            if attempt == ATTEMPTS - 1:
                raise
            log.warning("%s; trying again", error)
            time.sleep(pause * 2**attempt)
    if got != length:
        raise ContractError(
            f"{address}: ends at {offset + got} bytes, the index says {offset + length}; rebuild the shard"
        )
