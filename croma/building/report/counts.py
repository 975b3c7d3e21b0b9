"""What a report counts: chips by month, land cover, orbit, gap; refusals by reason; bands by their statistics."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from croma.chip import SPLITS
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A, Role
from croma.shards.card import BandStatistics, bin_edges, percentiles
from croma.shards.classes import colours_of, names_of
from croma.shards.dataset import Dataset

Json = dict[str, Any]

SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Percentiles that are shown."""

_BARS = 24
"""Of a chart of numbers, about."""
_MOST = 60
"""Bars of a chart of words; the rest are drawn as one."""


def charts(dataset: Dataset) -> list[Json]:
    """Charts of counts: a title, and for each bar its name and its chips by split."""
    rows = dataset.rows
    found = [
        _by("month", "chips by month of the optical image", pc.strftime(rows["optical_time"], "%Y-%m"), rows),
        _numbers("gap", "hours from the optical image to the radar", rows["gap_hours"], rows),
        _by("orbit", "orbit of the radar", _orbits(rows), rows),
        _numbers("cloud", "percent of a chip under cloud or its shadow", pc.multiply(rows["cloud"], 100), rows),
        _by("tile", "MGRS tile of the optical image", rows["tile"], rows),
        _by("baseline", "processing baseline of the optical image", _words(rows["baseline"]), rows),
        _by("reader", "read by window (as it is) or stack (resampled)", rows["reader"], rows),
    ]
    if dataset.header.label:
        found.insert(1, _land_cover(dataset))
    return [chart for chart in found if chart["bars"]]


def refusals(ledger: pa.Table) -> list[Json]:
    """Pairs that were cut and refused, by reason, the most first, each with an example."""
    found = []
    counted = pc.value_counts(ledger["reason"]).to_pylist()
    for row in sorted(counted, key=lambda row: (-row["counts"], row["values"])):
        example = ledger["detail"][pc.index(ledger["reason"], row["values"]).as_py()].as_py()
        found.append({"reason": row["values"], "count": row["counts"], "example": example})
    return found


def bands(role: Role, statistics: BandStatistics) -> list[Json]:
    """Every band of a sensor: its pixels, mean, deviation, percentiles, and the histogram where there are pixels."""
    sensor = SENTINEL_2_L2A if role == "optical" else SENTINEL_1_RTC
    edges = bin_edges(role)
    found = []
    for number, (band, shares) in enumerate(zip(sensor.bands, percentiles(role, statistics, SHARES), strict=True)):
        histogram = np.array(statistics.histogram[number])
        used = np.flatnonzero(histogram)
        first, last = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)
        found.append(
            {
                "name": band.name,
                "count": statistics.count[number],
                "mean": statistics.mean[number],
                "std": statistics.std[number],
                "minimum": statistics.minimum[number],
                "maximum": statistics.maximum[number],
                "percentiles": shares,
                "start": float(edges[first]),
                "step": float(edges[1] - edges[0]),
                "histogram": histogram[first:last].tolist(),
            }
        )
    return found


def _by(name: str, title: str, column: Any, rows: pa.Table) -> Json:
    """A bar for each value of a column, in its order."""
    known = pa.table({"value": column, "split": rows["split"]}).filter(pc.is_valid(column))
    counted = known.group_by(["value", "split"]).aggregate([([], "count_all")]).to_pylist()
    bars: dict[str, Json] = {}
    for row in sorted(counted, key=lambda row: str(row["value"])):
        bars.setdefault(str(row["value"]), {})[row["split"]] = row["count_all"]
    if len(bars) > _MOST:
        largest = set(sorted(bars, key=lambda value: -sum(bars[value].values()))[: _MOST - 1])
        rest = [chips for value, chips in bars.items() if value not in largest]
        bars = {value: chips for value, chips in bars.items() if value in largest}
        bars[f"{len(rest)} others"] = {split: sum(chips.get(split, 0) for chips in rest) for split in SPLITS}
    return _chart(name, title, bars.items())


def _numbers(name: str, title: str, column: Any, rows: pa.Table) -> Json:
    """A bar for each of some twenty equal steps of a column of numbers."""
    values = np.asarray(column.to_numpy(), np.float64)
    known = np.isfinite(values)
    if not known.any():
        return _chart(name, title, ())
    edges = _round_edges(values[known].min(), values[known].max())
    inside = {split: pc.equal(rows["split"], split).to_numpy() for split in SPLITS}
    counts = {split: np.histogram(values[known & mask], edges)[0] for split, mask in inside.items()}
    bars: list[tuple[str, Mapping[str, float]]] = [
        (f"{low:g}", {split: int(counts[split][n]) for split in SPLITS if counts[split][n]})
        for n, low in enumerate(edges[:-1])
    ]
    return _chart(name, title, bars) | {"step": float(edges[1] - edges[0])}


def _round_edges(low: float, high: float) -> Any:
    """Edges of about `_BARS` bins of a round width that hold everything from `low` to `high`."""
    rough = max((high - low) / _BARS, 1e-9)
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = np.floor(low / step)
    return np.arange(first, np.floor(high / step) + 2) * step


def _orbits(rows: pa.Table) -> Any:
    orbit = _words(rows["radar_relative_orbit"])
    return pc.binary_join_element_wise(pc.fill_null(rows["orbit_state"], "unknown"), pc.fill_null(orbit, ""), " ")


def _words(column: Any) -> Any:
    return pc.cast(column, pa.string())


def _land_cover(dataset: Dataset) -> Json:
    """The share of ground of each class, in chips."""
    bars: dict[int, Json] = {}
    for split in SPLITS:
        shares = dataset.table(split, ["label_shares"])["label_shares"].combine_chunks()
        codes, values = shares.keys.to_numpy(), shares.items.to_numpy()
        for code in np.unique(codes).tolist():
            bars.setdefault(code, {})[split] = round(float(values[codes == code].sum()), 1)
    codes = sorted(bars)
    names, colours = names_of(dataset.header, codes), colours_of(dataset.header, codes)
    chart = _chart(
        "landcover", "ground by land cover, in chips", zip(names, (bars[code] for code in codes), strict=True)
    )
    for bar, colour in zip(chart["bars"], colours, strict=True):
        bar["colour"] = colour
    return chart


def _chart(name: str, title: str, bars: Iterable[tuple[str, Mapping[str, float]]]) -> Json:
    return {"name": name, "title": title, "bars": [{"name": label, "chips": dict(chips)} for label, chips in bars]}
