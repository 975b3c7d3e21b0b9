import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croma.batches import draws
from croma.batches.order import Integers, Order, _sorted_by, cut_into_runs, mix
from croma.distributed import share


def make_order(
    chips: int = 100, batch: int = 8, seed: int = 1, places: Integers | None = None, **more: object
) -> Order:
    runs = cut_into_runs(np.arange(chips) // 16, 5)
    places = np.arange(chips) if places is None else places
    return Order(seed=seed, dataset="d", places=places, runs=runs, global_batch=batch, **more)  # type: ignore[arg-type]


@given(
    chips=st.integers(1, 300),
    batch=st.integers(1, 64),
    dates=st.integers(1, 5),
    window=st.one_of(st.none(), st.integers(1, 400)),
    seed=st.integers(0, 2**40),
)
@settings(max_examples=60, deadline=None)
def test_an_epoch_visits_every_chip_once(chips: int, batch: int, dates: int, window: int | None, seed: int) -> None:
    order = make_order(chips, batch, seed, np.arange(chips) // dates, window=window)
    steps = -(-2 * chips // batch)
    seen = np.concatenate([order.batch(step).chips for step in range(steps)])
    assert sorted(seen[:chips]) == list(range(chips))
    assert sorted(seen[chips : 2 * chips]) == list(range(chips))


@pytest.mark.parametrize("world", [1, 2, 3, 4, 7, 64])
@pytest.mark.parametrize("window", [None, 30])
def test_workers_share_a_batch_without_changing_it(world: int, window: int | None) -> None:
    order, again = make_order(batch=50, window=window), make_order(batch=50, window=window)
    for step in (0, 1, 5, 1000, 123_456):
        whole = order.batch(step)
        parts = [again.slice(step, rank, world) for rank in range(world)]
        assert np.array_equal(np.concatenate([part.chips for part in parts]), whole.chips)
        assert np.array_equal(np.concatenate([part.keys for part in parts]), whole.keys)
        assert max(len(p.chips) for p in parts) - min(len(p.chips) for p in parts) <= 1


def test_any_step_can_be_asked_first() -> None:
    forward = make_order(window=30)
    batches = [forward.batch(step) for step in range(60)]
    for step in (59, 3, 31, 0):
        fresh = make_order(window=30).batch(step)
        assert np.array_equal(fresh.chips, batches[step].chips)
        assert np.array_equal(fresh.keys, batches[step].keys)


@pytest.mark.parametrize("batch", [8, 10, 37])
def test_a_window_ends_where_its_last_chip_is(batch: int) -> None:
    order = make_order(batch=batch, window=30)
    bounds = np.concatenate([epoch * 100 + order._windows(epoch)[1][:-1] for epoch in range(8)])
    for step in range(600 // batch):
        end = int(bounds[np.searchsorted(bounds, step * batch, "right")])
        stop = order.window_stop(step)
        assert (stop - 1) * batch < end <= stop * batch
        assert stop > step
    assert make_order(batch=8).window_stop(3) == 13, "without windows the epoch is one"


def test_everything_named_in_the_law_matters() -> None:
    chips = make_order().batch(0).chips
    assert not np.array_equal(make_order(seed=2).batch(0).chips, chips)
    assert not np.array_equal(make_order().batch(1).chips, chips)
    other = Order(seed=1, dataset="e", places=np.arange(100), runs=np.array([0, 100]), global_batch=8)
    assert not np.array_equal(other.batch(0).chips, chips)
    assert not np.array_equal(other.batch(0).keys, make_order().batch(0).keys)


def test_epochs_differ() -> None:
    order = make_order(chips=64, batch=64)
    first, second = order.batch(0).chips, order.batch(1).chips
    assert (first == second).mean() < 0.2


def test_order_is_a_fair_shuffle() -> None:
    # Where chip i stands in an epoch is uniform: the mean over many epochs nears the middle for every chip.
    order = make_order(chips=40, batch=40)
    places = np.array([np.argsort(order.batch(epoch).chips) for epoch in range(400)])
    error = np.abs(places.mean(0) - 19.5) / (40 / np.sqrt(12) / np.sqrt(400))
    assert error.max() < 4


def test_keys_never_repeat() -> None:
    order = make_order(chips=10, batch=64)
    keys = np.concatenate([order.batch(step).keys for step in range(200)])
    assert len(np.unique(keys)) == len(keys)


def test_a_window_holds_few_runs() -> None:
    def touched(order: Order) -> list[int]:
        runs = (np.searchsorted(order.runs, order.batch(step).chips, "right") - 1 for step in range(25))
        return [len(np.unique(numbers)) for numbers in runs]

    assert max(touched(make_order(chips=1600, batch=64, window=32))) <= 36  # three or four windows of about nine runs
    assert min(touched(make_order(chips=1600, batch=64))) >= 50


@pytest.mark.parametrize("window", [None, 200])
def test_one_place_is_once_in_a_batch(window: int | None) -> None:
    dates = np.random.default_rng(0).integers(1, 5, 200)
    places = np.repeat(np.arange(200), dates)
    chips = len(places)
    shards = np.random.default_rng(1).permutation(chips)  # dates of a place lie in different shards
    order = make_order(chips, 24, places=places[shards], window=window)
    met = []
    for step in range(5 * chips // 24):
        batch = order.places[order.batch(step).chips]
        met.append(len(batch) - len(np.unique(batch)))
    plain = np.random.default_rng(2).permutation(np.tile(places, 5))[: len(met) * 24].reshape(-1, 24)
    expected = sum(24 - len(np.unique(row)) for row in plain)
    if window is None:
        spanning = {epoch * chips // 24 for epoch in range(1, 6)}  # batches that hold two epochs
        assert not [step for step, count in enumerate(met) if count and step not in spanning]
    assert sum(met) < expected / 4


def test_a_place_larger_than_a_batch_is_still_visited() -> None:
    order = make_order(chips=20, batch=8, places=np.zeros(20, np.int64))
    seen = np.concatenate([order.batch(step).chips for step in range(5)])
    assert sorted(seen[:20]) == list(range(20))


def test_a_batch_may_be_larger_than_the_dataset() -> None:
    order = make_order(chips=5, batch=12)
    assert sorted(order.batch(0).chips[:5]) == list(range(5))
    assert sorted(order.batch(0).chips[5:10]) == list(range(5))


def test_runs_keep_to_their_shard() -> None:
    runs = cut_into_runs(np.array([0] * 7 + [1] * 3 + [4] * 5), 4)
    assert runs.tolist() == [0, 4, 7, 10, 14, 15]


def test_share_covers_everything_once() -> None:
    for total in range(20):
        for world in range(1, 9):
            taken = [i for rank in range(world) for i in range(total)[share(total, rank, world)]]
            assert taken == list(range(total))


def test_numpy_and_torch_mix_alike() -> None:
    import torch

    words = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 1000)
    assert np.array_equal(mix(words.view(np.uint64)).view(np.int64), draws.mix(torch.from_numpy(words)).numpy())


def test_first_batch_of_a_large_dataset_comes_at_once() -> None:
    order = make_order(chips=1_000_000, batch=256, window=16_384)
    start = time.perf_counter()
    order.batch(3_000_017)
    assert time.perf_counter() - start < 0.5


def test_an_epoch_of_a_large_dataset_is_ordered_in_a_moment() -> None:
    # SSL4EO-S12 without windows: 251,079 places, four chips each. Half of the time goes into two sorts.
    order = make_order(chips=1_004_316, batch=7200, places=np.arange(1_004_316) // 4)
    start = time.process_time()
    order.batch(41_000)
    assert time.process_time() - start < 1.5


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 2**32))
def test_fast_sorts_order_like_lexsort(layers: list[int], seed: int) -> None:
    words = np.random.default_rng(seed).integers(0, 2**64, len(layers), np.uint64)
    expected = np.lexsort((words, np.array(layers)))
    assert (_sorted_by(np.array(layers), words) == expected).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"places": np.array([], np.int64)}, "no chips"),
        ({"global_batch": 0}, "at least 1"),
        ({"runs": np.array([0, 5])}, "number of chips"),
        ({"runs": np.array([0, 7, 5, 10])}, "number of chips"),
    ],
)
def test_refusals(change: dict[str, object], sentence: str) -> None:
    fields = {"seed": 0, "dataset": "d", "places": np.arange(10), "runs": np.array([0, 10]), "global_batch": 2}
    with pytest.raises(ValueError, match=sentence):
        Order(**(fields | change))  # type: ignore[arg-type]
