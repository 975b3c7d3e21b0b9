from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score

from croma.chip import SPLITS, Chip
from croma.errors import InputError
from croma.evaluation.bench import Bench
from croma.evaluation.change import measure, of_changed, pairs_of
from croma.evaluation.encoders import BandStatistics
from croma.evaluation.labels import make_task
from croma.evaluation.spec import Change, EvalSpec
from croma.shards.dataset import Dataset, open_dataset
from tests.evaluation.world import CONSTANTS, LOOKS, SIZE, labelled_chip, make_dataset

FAST = Change(inverse_penalties=(0.1, 10.0))
SPEC = EvalSpec(protocols=(FAST,), target={"kind": "pixels"}, bootstrap={"draws": 50, "block_km": 1.0})


def dated(chip: Chip, place: Chip, day: int, mask: np.ndarray) -> Chip:
    """A chip at the place of another, seen on a day, with a mask of what changed."""
    shares = {int(code): float((mask == code).mean()) for code in np.unique(mask) if code}
    time = (datetime(2021, 6, 1, tzinfo=UTC) + timedelta(days=day)).isoformat()
    facts = chip.facts | {"label_shares": shares, "label": max(shares, key=lambda c: shares[c]), "optical_time": time}
    return Chip(id=f"{chip.id}_{day}", cell=place.cell, radar=chip.radar, optical=chip.optical, label=mask, facts=facts)


def pair(number: int, rng: np.random.Generator, kind: str) -> list[Chip]:
    """The upper rows of the second date are of another land cover (`change`), or the mask knows nothing (`noise`)."""
    code, other = rng.choice(list(LOOKS), 2, replace=False)
    rows = 8 * int(rng.integers(2, 5))
    before = labelled_chip(2 * number, int(code))
    after, new = labelled_chip(2 * number + 1, int(code)), labelled_chip(10_000 + number, int(other))
    mask = np.ones((SIZE, SIZE), np.uint8)
    mask[:rows] = 2
    mask[:, :3] = 0
    if kind == "noise":
        patches = rng.integers(1, 3, (SIZE // 8, SIZE // 8)).astype(np.uint8)
        mask = np.kron(patches, np.ones((8, 8), np.uint8))
    else:
        after.radar[:, :rows] = new.radar[:, :rows]
        for resolution, plane in after.optical.items():
            part = rows * 10 // resolution
            plane[:, :part] = new.optical[resolution][:, :part]
    return [dated(before, before, 0, mask), dated(after, before, 90, mask)]


def dataset(folder: Path, kind: str = "change", **header: Any) -> Dataset:
    rng = np.random.default_rng(0)
    chips = {split: [c for n in range(14) for c in pair(100 * s + n, rng, kind)] for s, split in enumerate(SPLITS)}
    opened = open_dataset(make_dataset(str(folder), folder, chips))
    new = {"labels": "change", "classes": {1: "unchanged", 2: "changed"}, **header}
    return Dataset(ref=opened.ref, header=opened.header.model_copy(update=new), rows=opened.rows)


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(tmp_path_factory.mktemp("changes"))


def bench_of(opened: Dataset, root: Path, spec: EvalSpec = SPEC) -> Bench:
    return Bench(dataset=opened, task=make_task(opened, spec), spec=spec, root=str(root))


def test_near_perfect_where_the_ground_changed(changes: Dataset, tmp_path: Path) -> None:
    found = measure(bench_of(changes, tmp_path), BandStatistics(CONSTANTS, SIZE, 8), "joint", FAST)
    assert found.values["change-f1"][0] > 0.95
    assert found.values["miou"][0] > 0.9
    assert found.values["change-iou"].shape == (51,)
    assert found.n == 14
    assert set(found.by_class) == {"unchanged", "changed"}


@pytest.mark.slow
def test_chance_where_the_mask_knows_nothing(tmp_path: Path) -> None:
    bench = bench_of(dataset(tmp_path, "noise"), tmp_path)
    found = measure(bench, BandStatistics(CONSTANTS, SIZE, 8), "optical", FAST)
    assert found.values["pixel-accuracy"][0] == pytest.approx(0.5, abs=0.08)


def test_f1_and_iou_of_the_changed_are_scikit_learn_s() -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.integers(0, 2, (2, 3, 200))
    counts = np.stack([np.bincount(2 * t + s, minlength=4).reshape(2, 2) for t, s in zip(truth, said, strict=True)])
    bench = SimpleNamespace(draws=np.array([[1.0, 1, 1], [0, 2, 1]]))
    found = of_changed(counts.astype(float), bench)
    assert found["change-f1"][0] == pytest.approx(f1_score(truth.ravel(), said.ravel()))
    drawn = [np.concatenate([each[1], each[1], each[2]]) for each in (truth, said)]
    assert found["change-iou"][1] == pytest.approx(jaccard_score(*drawn))


def test_pairs_are_consecutive_dates_of_a_place(changes: Dataset) -> None:
    rows = changes.table("train")
    pairs = pairs_of(rows)
    assert len(pairs) == 14
    listed = rows.to_pylist()
    for before, after in pairs:
        assert listed[before]["optical_time"] < listed[after]["optical_time"]
        assert (listed[before]["left"], listed[before]["top"]) == (listed[after]["left"], listed[after]["top"])
    assert pairs_of(rows.slice(0, 1)) == []


def test_few_pairs_lie_within_more_and_share_their_names(changes: Dataset, tmp_path: Path) -> None:
    spec = FAST.model_copy(update={"shares": (0.1, 1.0)})
    found = measure(bench_of(changes, tmp_path), BandStatistics(CONSTANTS, SIZE, 8), "optical", spec)
    assert {"miou-at-10", "change-f1-at-10", "change-f1-at-100"} <= set(found.values)
    assert found.note.startswith("10 %: C=")


def test_places_with_one_date_are_counted_and_a_split_of_them_is_refused(changes: Dataset, tmp_path: Path) -> None:
    times = sorted(set(changes.rows["optical_time"].to_pylist()))
    early = [row["split"] != "test" or row["optical_time"] == times[0] for row in changes.rows.to_pylist()]
    single = Dataset(ref=changes.ref, header=changes.header, rows=changes.rows.filter(early))
    bench = bench_of(single, tmp_path)
    with pytest.raises(InputError, match="split test has no place with two dates"):
        measure(bench, BandStatistics(CONSTANTS, SIZE, 8), "optical", FAST)
    assert bench.exclusions["test/no second date"] == 14


def test_pairs_of_nothing_but_one_class_are_refused(tmp_path: Path) -> None:
    chips = {
        split: [
            dated(labelled_chip(n + 10 * s, 10), labelled_chip(n + 10 * s, 10), day, np.ones((SIZE, SIZE), np.uint8))
            for n in range(3)
            for day in (0, 9)
        ]
        for s, split in enumerate(SPLITS)
    }
    opened = open_dataset(make_dataset(str(tmp_path), tmp_path, chips))
    with pytest.raises(InputError, match="has 1 class"):
        bench_of(opened, tmp_path)
