import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croma.catalog.budget import Budget


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(st.floats(0.5, 50), st.lists(st.floats(0, 3), min_size=1, max_size=20))
def test_requests_to_a_host_keep_their_distance(rate: float, idle: list[float]) -> None:
    clock = Clock()
    budget = Budget(rate, clock=clock, sleep=clock.sleep)
    moments = []
    for seconds in idle:
        clock.sleep(seconds)
        before = clock.now
        budget.wait("a")
        moments.append(clock.now)
        assert clock.now - before <= 1 / rate + 1e-9, "nobody waits longer than needed"
    assert all(b - a >= 1 / rate - 1e-9 for a, b in pairwise(moments))


def test_hosts_do_not_wait_for_each_other() -> None:
    clock = Clock()
    budget = Budget(0.1, clock=clock, sleep=clock.sleep)
    for host in "abc":
        budget.wait(host)
    assert clock.now == 100


def test_a_pause_holds_for_all() -> None:
    clock = Clock()
    budget = Budget(float("inf"), clock=clock, sleep=clock.sleep)
    budget.wait("a")
    budget.pause("a", 7)
    budget.pause("a", 3)
    budget.wait("b")
    assert clock.now == 100
    budget.wait("a")
    assert clock.now == 107


def test_threads_share_it() -> None:
    budget = Budget(50)
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(budget.wait, ["a"] * 20))
    assert time.monotonic() - begun >= 19 / 50 - 0.02


def test_two_of_one_folder_share_it(tmp_path: Path) -> None:
    clock = Clock()
    one, other = (Budget(2, tmp_path, clock, clock.sleep) for _ in range(2))
    for budget in (one, other, one, other):
        budget.wait("a")
    assert clock.now == 101.5
    one.pause("a", 10)
    other.wait("a")
    assert clock.now == 111.5


def test_a_clock_that_was_set_back_does_not_stop_everything(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(2, tmp_path, clock, clock.sleep)
    clock.now = 1e9
    budget.wait("a")
    clock.now = 100
    budget.wait("a")
    assert clock.now <= 100 + 3600


def _ask(folder: Path, times: int) -> list[float]:
    budget, moments = Budget(40, folder), []
    for _ in range(times):
        budget.wait("host")
        moments.append(time.time())
    return moments


@pytest.mark.slow
def test_processes_share_it(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        moments = [moment for job in [pool.submit(_ask, tmp_path, 20) for _ in range(3)] for moment in job.result()]
    assert max(moments) - min(moments) >= 59 / 40 - 0.05
