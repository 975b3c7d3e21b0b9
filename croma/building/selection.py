"""From every possible pair to those that are made: one per pass, at most so many a place, spread over time."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

import numpy as np

from croma.building.candidates import Candidates, Flags
from croma.building.spec import PairRule
from croma.catalog.scene import Scene
from croma.errors import InputError
from croma.extent import TimeWindow
from croma.pairing import first_of_each, hours, optical_order, pass_numbers, platform_numbers, spread
from croma.places import Floats, Integers, Places

DAY = 24.0
NO_CLOUD_STATED = 50.0
"""Percent: an optical scene of unknown cloud cover ranks in the middle."""


class Known(NamedTuple):
    """Chips that are there already, or were tried, by column; each has shape (n,)."""

    keys: Integers
    days: Integers
    """Days since 1970 of the optical pass."""


def known_chips(names: Iterable[str]) -> Known:
    """Chips by their ids, which tell the place and the day.

    Raises:
        InputError: an id that `croma.chip.chip_id` did not make.
    """
    cells, days = [], []
    epoch = date(1970, 1, 1).toordinal()
    for name in names:
        try:
            epsg, left, top, day, _ = name.split("_")
            cells.append((int(epsg), int(left), int(top)))
            days.append(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).toordinal() - epoch)
        except ValueError:
            raise InputError(f"the dataset holds a chip {name!r} that this pipeline did not make") from None
    columns = np.array(cells, np.int64).reshape(-1, 3).T
    return Known(Places(*columns).keys, np.array(days, np.int64))


def one_per_pass(found: Candidates, optical: Sequence[Scene]) -> Candidates:
    """Where tiles overlap or a product comes twice, the best of a pass at each place."""
    numbers = pass_numbers(found.keys, platform_numbers(optical)[found.optical], hours(optical)[found.optical])
    rank = np.empty(len(optical), np.int64)
    rank[optical_order(optical)] = np.arange(len(optical))
    best = first_of_each(rank[found.optical], among=(numbers,))
    return found.take(best)


def select(
    once: Candidates,
    optical: Sequence[Scene],
    radar: Sequence[Scene],
    known: Known,
    rule: PairRule,
    window: TimeWindow,
) -> Candidates:
    """The pairs to make, of those that are left of each pass; sorted by place and time.

    Depends on the set of candidates only, not on their order.
    """
    times = hours(optical)[once.optical]
    fresh = ~_same_day(once.keys, (times // DAY).astype(np.int64), known)
    once, times = once.take(fresh), times[fresh]
    old = np.isin(known.keys, once.keys)
    keys = np.concatenate((once.keys, known.keys[old]))
    moments = np.concatenate((times, known.days[old] * DAY + DAY / 2))
    groups, moments, span = _periods(keys, moments, rule, window)
    taken = np.arange(len(keys)) >= len(once.keys)
    ranks = np.concatenate((_ranks(once, optical, radar), np.full(int(old.sum()), -1, np.int64)))
    chosen = spread(groups, moments, ranks, taken, rule.per_cell, span)[: len(once.keys)]
    order = np.nonzero(chosen)[0]
    order = order[np.lexsort((times[order], once.keys[order]))]
    return once.take(order)


def _same_day(keys: Integers, days: Integers, known: Known) -> Flags:
    """Which rows are at a place and day of a known chip."""
    _, place = np.unique(np.concatenate((known.keys, keys)), return_inverse=True)
    codes = place.astype(np.int64) << 20 | np.concatenate((known.days, days)) & 0xFFFFF
    return np.isin(codes[len(known.keys) :], codes[: len(known.keys)])


def _periods(
    keys: Integers, moments: Floats, rule: PairRule, window: TimeWindow
) -> tuple[Integers, Floats, tuple[float, float]]:
    """What `per_cell` counts in: a number for each place and period, the times in it, and its span."""
    if rule.each == "window":
        return keys, moments, (window.first.timestamp() / 3600, window.last.timestamp() / 3600)
    years = (moments * 3600).astype("datetime64[s]").astype("datetime64[Y]")
    start = years.astype("datetime64[s]").astype(np.int64) / 3600
    end = (years + 1).astype("datetime64[s]").astype(np.int64) / 3600
    _, place = np.unique(keys, return_inverse=True)
    return place.astype(np.int64) << 16 | years.astype(np.int64), (moments - start) / (end - start), (0.0, 1.0)


def _ranks(rows: Candidates, optical: Sequence[Scene], radar: Sequence[Scene]) -> Integers:
    """Less cloud first, in steps of 10 %, then the smaller gap, then the earlier one; no two rows rank alike."""
    covers = [s.cloud_cover if s.cloud_cover is not None else NO_CLOUD_STATED for s in optical]
    cloud = np.array(covers)[rows.optical] // 10 if len(rows.optical) else np.zeros(0)
    times = hours(optical)[rows.optical]
    gap = np.abs(hours(radar)[rows.radar] - times)
    ranks = np.empty(len(gap), np.int64)
    ranks[np.lexsort((rows.radar, rows.optical, rows.keys, times, gap, cloud))] = np.arange(len(gap))
    return ranks
