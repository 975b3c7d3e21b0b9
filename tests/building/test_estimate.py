import pytest

from croma.building.book import Book
from croma.building.estimate import BLOCK, Estimate, estimate
from croma.building.plan import make_plan
from croma.building.prices import Prices
from croma.shards.layout import ChipLayout
from tests.building.test_plan import spec
from tests.scenes import label, optical, radar, square

TILE = square(491_520, 5_386_240, 522_240, 5_406_720)
"""Six by four blocks of 10 m, from a corner of blocks."""


def book(step: int, labels: bool = False, per_shard: int = 10_000) -> Book:
    changes = {
        "area": {"bbox": (14, 48, 16, 50)},
        "placement": {"kind": "lattice", "step": step},
        "chip_size": 480,
        "split": {"block_km": 1000, "val": 0, "test": 0},
        "chips_per_shard": per_shard,
        "labels": {} if labels else None,
    }
    return make_plan(spec(**changes), [optical("o", 0, TILE)], [radar("r", -1)], [label("l")] if labels else []).book


def test_a_full_grid_reads_each_block_once() -> None:
    found = estimate(book(4800))
    # Chips of 4.8 km from 494,400 to 518,400 east and from 5,390,400 to 5,404,800 north.
    assert found.chips == 15
    assert found.chips_per_scene == 15
    ten, twenty, sixty = 6 * 4, 3 * 2, 1 * 1
    optical_pixels, radar_pixels = (4 * ten + 7 * twenty + 2 * sixty) * BLOCK**2, 2 * ten * BLOCK**2
    wanted = 15 * (4 * 480**2 + 7 * 240**2 + 2 * 80**2 + 2 * 480**2)
    assert found.waste == pytest.approx((optical_pixels + radar_pixels) / wanted, abs=0.01)
    expected = (4 * ten * 1.75 + 6 * twenty * 1.95 + twenty * 0.09 + 2 * sixty * 1.95 + 2 * ten * 4) * BLOCK**2
    assert found.bytes_read == pytest.approx(expected)
    assert found.requests == 4 * (4 + 1) + 7 * (2 + 1) + 2 * (1 + 1) + 2 * (4 + 1)
    assert found.bytes_stored == 15 * ChipLayout(size=480, label=False).length


def test_sparse_chips_and_small_shards_are_dear() -> None:
    dense, sparse, cut = estimate(book(4800)), estimate(book(14_400)), estimate(book(4800, per_shard=1))
    assert sparse.chips < dense.chips
    assert sparse.waste > dense.waste
    assert cut.waste > dense.waste
    assert cut.chips == dense.chips
    assert cut.bytes_read > dense.bytes_read


def test_labels_are_read_too() -> None:
    without, with_labels = estimate(book(4800)), estimate(book(4800, labels=True))
    assert with_labels.bytes_read > without.bytes_read
    assert with_labels.bytes_stored > without.bytes_stored


def test_prices() -> None:
    found = Estimate(chips=1, requests=2_000_000, bytes_read=10**12, bytes_stored=10**11, waste=1, chips_per_scene=1)
    prices = Prices(read_gb=0.05, requests_million=0.4, stored_gb_month=0.02, read_mb_per_second=100)
    assert found.cost(prices) == pytest.approx(50.8)
    assert found.monthly(prices) == pytest.approx(2)
    assert found.hours(prices) == pytest.approx(2.78, abs=0.01)
