"""What the command line prints: tables on a terminal, plain lines in a log."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from croma import storage
from croma.building.prices import Prices
from croma.chip import SPLITS
from croma.evaluation.scores import Margin, Score, Scorecard
from croma.recipes.comparison import Compared
from croma.sensors import SENTINEL_1_RTC, SENTINEL_2_L2A, Role
from croma.shards import index, ledger
from croma.shards.dataset import Dataset, open_dataset
from croma.training.spec import TrainResult
from croma.training.sweep import SweepResult
from flows.site import Site

if TYPE_CHECKING:
    # They load GDAL, which an image that learns has not.
    from croma.building.describe import Description
    from croma.building.estimate import Estimate
    from croma.building.prepare import Survey
    from croma.building.vacuum import Waste
    from flows.end_to_end import Outcome

console = Console(stderr=True, highlight=False)
"""For messages: errors, progress."""
out = Console(highlight=False, soft_wrap=True)
"""For results."""


def table(rows: Iterable[Sequence[object]], *headings: str) -> None:
    """Print rows under headings."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        # Where the terminal is narrow the last column is folded, and no other one is cut.
        grid.add_column(heading, no_wrap=heading != headings[-1], overflow="fold")
    for row in rows:
        grid.add_row(*(str(value) for value in row))
    out.print(grid)


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one a line."""
    grid = Table.grid(padding=(0, 2))
    for name, value in pairs:
        grid.add_row(f"[bold]{name}[/]", str(value))
    out.print(grid)


def dataset(opened: Dataset) -> None:
    """Print what a dataset version is: counts, bands, grid, times."""
    rows = opened.rows
    facts(
        [
            ("dataset", opened.ref.uri),
            ("version", opened.ref.version),
            ("chips", rows.num_rows),
            ("chip size", f"{opened.layout.size} px of 10 m, {opened.layout.size / 100:g} km"),
            ("radar", _radar_bands(opened)),
            ("optical", _optical_bands(opened)),
            ("labels", opened.header.labels if opened.header.labelled else "no"),
            ("grid", ", ".join(f"EPSG:{epsg}" for epsg in sorted(set(rows["epsg"].to_pylist())))),
            *_times(opened),
        ]
    )
    counts = {split: opened.table(split) for split in SPLITS}
    table(
        [(split, part.num_rows, len(opened.shards(split)), _gap(part)) for split, part in counts.items()],
        *("split", "chips", "shards", "median gap"),
    )


def imported(opened: Dataset) -> None:
    """Print what a benchmark has become: the dataset, its classes, and what was left out by reason."""
    dataset(opened)
    named = opened.header.classes
    labels = opened.rows["label_shares"].to_pylist()
    held = Counter(code for shares in labels for code, _ in shares or ())
    table([(code, named.get(code, ""), held[code]) for code in sorted(held)], "code", "class", "chips with it")
    for reason, count in sorted(ledger.counts(opened.ref.uri).items()):
        out.print(f"left out: {count} {reason} (see the ledger)")


def versions(uri: str) -> None:
    """Print the history of a dataset, newest last; each version holds the chips of all before it."""
    rows, chips = [], 0
    for version in index.versions(uri):
        chips += version.added
        described = storage.exists(storage.join(uri, "versions", str(version.number), "report.html"))
        rows.append(
            (
                version.number,
                f"{version.time:%Y-%m-%d %H:%M}",
                f"+{version.added:,}",
                f"{chips:,}",
                "yes" if described else "no",
                ", ".join(f"{name} {value}" for name, value in version.note.items()),
            )
        )
    table(rows, "version", "committed (UTC)", "added", "chips", "report", "made by")


def description(described: "Description") -> None:
    """Print what the checks of a version say, and where its report and metadata are."""
    table([(check.name, check.verdict, check.found) for check in described.checks], "check", "verdict", "found")
    facts([("report", described.report), ("metadata", described.folder)])


def _radar_bands(opened: Dataset) -> str:
    return f"{' '.join(band.name for band in SENTINEL_1_RTC.bands)}, float16 dB" if _has(opened, "radar") else "none"


def _optical_bands(opened: Dataset) -> str:
    if not _has(opened, "optical"):
        return "none"
    planes = [plane for plane in opened.layout.planes if plane.name.startswith("s2_")]
    by_resolution = []
    for resolution, count in ((int(plane.name[3:-1]), plane.shape[0]) for plane in planes):
        names = (SENTINEL_2_L2A.bands[i].name for i in SENTINEL_2_L2A.channels(resolution, count))
        by_resolution.append(f"{' '.join(names)} at {resolution} m")
    return "; ".join(by_resolution) + ", uint16 reflectance × 10,000"


def _has(opened: Dataset, sensor: Role) -> bool:
    return sensor in opened.header.sensors


def _times(opened: Dataset) -> list[tuple[str, object]]:
    if not opened.rows.num_rows:
        return []
    span = pc.min_max(opened.rows["optical_time"]).as_py()
    resampled = pc.sum(opened.rows["resampled"]).as_py()
    return [
        ("acquired", f"{span['min']:%Y-%m-%d} to {span['max']:%Y-%m-%d}" if span["min"] else "nobody knows"),
        ("resampled", f"{resampled} of {opened.rows.num_rows} chips"),
    ]


def _gap(part: object) -> str:
    gaps = pc.drop_null(pc.abs(part["gap_hours"]))  # type: ignore[index]
    return f"{pc.quantile(gaps, 0.5)[0].as_py():.1f} h" if len(gaps) else "-"


def waste(found: Sequence["Waste"], removed: bool) -> None:
    """Print what no version needs, by kind, with the largest of each."""
    if not found:
        out.print("nothing removed: every file is needed, or too young to tell")
        return
    kinds = {one.kind: [each for each in found if each.kind == one.kind] for one in found}
    entries = {kind: [entry for each in each_kind for entry in each.entries] for kind, each_kind in kinds.items()}
    table(
        [
            (kind, len(of), _size(sum(e.size for e in of)), max(of, key=lambda entry: entry.size).address)
            for kind, of in entries.items()
        ],
        *("kind", "files", "size", "the largest"),
    )
    total = _size(sum(entry.size for of in entries.values() for entry in of))
    out.print(f"removed {total}" if removed else f"{total} could go; nothing is removed without --yes")


def plan(survey: "Survey", prices: Prices) -> None:
    """Print what a build would make, and what it would take."""
    estimate = survey.estimate
    facts(
        [
            ("dataset", survey.uri),
            ("scenes", ", ".join(f"{count} {name}" for name, count in survey.scenes.items()) or "none"),
            ("pairs to cut", ", ".join(f"{count} {split}" for split, count in survey.chips.items())),
            ("shards", survey.shards),
            ("there already", survey.known),
            ("refused before", survey.refused_before),
            ("chips per optical scene", f"{estimate.chips_per_scene:g} on average"),
            ("to read", f"{_size(estimate.bytes_read)} in {estimate.requests:,} requests, for remote files"),
            ("pixels decoded", f"{estimate.waste:g} for each pixel of a chip"),
            ("to store", f"{_size(estimate.bytes_stored)} at most"),
            ("time", f"{estimate.hours(prices):.2g} h of reading at {prices.read_mb_per_second:g} MB/s"),
            *_costs(estimate, prices),
        ]
    )
    left_out = [("place", reason, count) for reason, count in survey.left_out.items()]
    unused = [("scene", reason, count) for reason, count in survey.unused_scenes.items()]
    if left_out or unused:
        rows = [(*row, survey.examples.get(row[1], "")) for row in left_out + unused]
        table(rows, "left out", "because", "count", "for example")


def _costs(estimate: "Estimate", prices: Prices) -> Iterable[tuple[str, str]]:
    if prices.read_gb or prices.requests_million:
        yield "cost of reading", f"{estimate.cost(prices):,.2f} {prices.currency}"
    if prices.stored_gb_month:
        yield "cost of storing", f"{estimate.monthly(prices):,.2f} {prices.currency} a month"


def _size(count: float) -> str:
    """Bytes in the unit that fits."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def training(result: TrainResult) -> None:
    """Print what was learnt."""
    trained = result.trained
    losses = ", ".join(f"{name} {value:.3f}" for name, value in sorted(trained.losses.items()))
    facts(
        [
            ("run", result.run),
            ("dataset", f"{result.dataset}, {result.chips} chips"),
            ("steps", f"{trained.step} with {trained.workers} workers, {trained.samples_per_second:.0f} samples/s"),
            ("losses", losses),
            ("weights", result.weights),
        ]
    )


def sweep(result: SweepResult) -> None:
    """Print what came of each learning rate, and the best one."""
    rows = [(f"{t.rate:g}", f"{t.loss:.4f}" if t.loss is not None else "-", t.run or t.problem) for t in result.trials]
    table(rows, "learning rate", "loss", "run")
    out.print(f"best: {result.best.rate:g}" if result.best else "none came to its end")


def scores(card: Scorecard) -> None:
    """Print the first metric of every probe beside the baselines, and the verdict. All metrics are in the tracker."""
    encoders = list(dict.fromkeys(score.encoder for score in card.scores))
    first = {(score.protocol, score.modality): score.key for score in reversed(card.scores)}
    keys = [key for key in dict.fromkeys(score.key for score in card.scores) if key in first.values()]
    found = {(score.key, score.encoder): score for score in card.scores}
    rows = [(key, *(_score(found.get((key, encoder))) for encoder in encoders)) for key in keys]
    table(rows, "score", *encoders)
    verdict = card.verdict
    out.print(f"verdict: {'passed' if verdict.passed else 'refused'}")
    for condition in verdict.failures:
        out.print(f"  not met: {condition.asked}; found {condition.found}")


def comparison(found: Compared) -> None:
    """Print what every method was given, and the first metric of each probe with its distance to the reference."""
    given = [(each.budget, each.method, f"{each.samples:,}", f"{each.petaflops:.3g}") for each in found.entries]
    table(given, "equal", "method", "samples", "PFLOP")
    for budget in dict.fromkeys(entry.budget for entry in found.entries):
        rows = [
            (entry.method, score.key, _score(score), _margin(entry.margin(score, "champion")))
            for entry in found.entries
            if entry.budget == budget
            for score in entry.headlines
        ]
        out.print(f"\n[bold]equal {budget}[/]")
        table(rows, "method", "score", "value", f"above {found.reference}")
    out.print(f"review: run {found.review} of experiment {found.name}")


def outcome(result: "Outcome", site: Site) -> None:
    """Print the short story of a whole run, and where to look."""
    out.rule("dataset")
    dataset(open_dataset(result.dataset))
    refused = ledger.counts(result.dataset.uri)
    if refused:
        out.print("refused: " + ", ".join(f"{count} {reason}" for reason, count in refused.most_common()))
    out.rule("training")
    training(result.training)
    out.rule("evaluation")
    scores(result.scorecard)
    out.rule("where to look")
    facts(
        [
            ("chips", f"croma inspect {result.dataset}"),
            ("runs and flows", f"croma serve --home {site.home}" if not site.tracking else site.tracking),
            ("weights", result.training.weights),
        ]
    )


def _score(score: Score | None) -> str:
    if score is None:
        return "-"
    interval = "" if score.low is None or score.high is None else f" {score.low:.2f}–{score.high:.2f}"
    return f"{score.value:.3f}{interval}"


def _margin(margin: Margin | None) -> str:
    if margin is None:
        return "-"
    interval = "" if margin.low is None or margin.high is None else f" {margin.low:+.2f}–{margin.high:+.2f}"
    return f"{margin.value:+.3f}{interval}"
