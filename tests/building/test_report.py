"""The report of a version: its checks on pixels that are wrong on purpose, what it counts, and the page itself."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from croma import storage
from croma.building.describe import describe_version
from croma.building.fill import fill
from croma.building.prepare import write_header
from croma.building.report.alignment import fits, shift
from croma.building.report.checks import Check, run_checks
from croma.building.report.counts import charts
from croma.building.report.looks import Look, chosen, examine, scene_pairs
from croma.building.report.page import collect, render
from croma.building.report.places import places
from croma.building.seal import seal
from croma.errors import InputError
from croma.sensors import SENTINEL_2_L2A
from croma.shards import index
from croma.shards.dataset import Dataset, Header, open_dataset
from croma.shards.ref import DatasetRef
from tests.building.plans import make_labels, make_plan, make_scenes
from tests.building.test_vacuum import row as plain_row
from tests.evaluation.browser import open_page

SIZE = 96
Planes = dict[str, npt.NDArray[Any]]


def patches(rng: np.random.Generator, size: int) -> npt.NDArray[np.int64]:
    """A map of fields: each pixel has the number of the nearest of some points."""
    points = rng.uniform(0, size, (40, 2))
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1)
    return np.asarray(((pixels[:, :, None] - points) ** 2).sum(-1).argmin(-1))


def ground(seed: int, offset: int = 0, south: int = 0, east: int = 0) -> Planes:
    """A chip of fields, half of them green, seen by both sensors; the radar may lie beside the optical image."""
    rng = np.random.default_rng(seed)
    fields = patches(rng, SIZE)
    green = (np.arange(40) % 2 == 0)[fields]
    scatter = (rng.normal(0, 4, 40) + np.where(np.arange(40) % 2 == 0, -9, -14))[fields]
    planes: Planes = {
        "s1": np.stack([scatter, scatter - 7]) + 10 * np.log10(rng.gamma(4, 1 / 4, (2, SIZE, SIZE))),
    }
    planes["s1"] = np.roll(planes["s1"], (south, east), (1, 2)).astype(np.float16)
    colours = {"B02": (300, 900), "B03": (600, 1100), "B04": (350, 1400), "B08": (3600, 2000)}
    for resolution in SENTINEL_2_L2A.resolutions:
        step = resolution // 10
        bands = []
        for i in SENTINEL_2_L2A.at(resolution):
            plant, soil = colours.get(SENTINEL_2_L2A.bands[i].name, (1500, 2000))
            band = np.where(green, plant, soil) + (rng.normal(0, 60, 40))[fields] + rng.normal(0, 15, fields.shape)
            bands.append(band[::step, ::step] + offset)
        planes[f"s2_{resolution}m"] = np.clip(bands, 1, 65535).astype(np.uint16)
    return planes


def scene_looks(scene: str, count: int = 4, first: int = 0, **how: int) -> list[Look]:
    """Looks at chips of one pair of scenes."""
    names = {"optical_scene": f"S2-{scene}", "radar_scene": f"S1-{scene}"}
    return [examine({"chip": f"{scene}-{n}", **names}, ground(1000 * first + n, **how)) for n in range(count)]


@pytest.fixture(scope="module")
def right() -> list[Look]:
    return scene_looks("a") + scene_looks("b", first=1) + scene_looks("c", first=2)


EMPTY = index.to_arrow([])


def verdicts(looks: list[Look], rows: Any = EMPTY) -> dict[str, Check]:
    return {check.name: check for check in run_checks(rows, SIZE, looks)}


def test_ground_that_is_right_passes(right: list[Look]) -> None:
    found = verdicts(right)
    assert {found[name].verdict for name in ("offset", "alignment", "blank")} == {"passed"}
    assert found["alignment"].found.startswith("3 pairs of scenes tell, 0 do not; 0 are shifted")


def test_an_offset_left_in_or_taken_off_twice_is_found(right: list[Look]) -> None:
    found = verdicts(right + scene_looks("left", offset=1000))["offset"]
    assert (found.verdict, found.examples) == ("failed", ("S2-left: left in",))
    twice = verdicts(right + scene_looks("dark", offset=-1000))["offset"]
    assert (twice.verdict, twice.examples) == ("failed", ("S2-dark: taken off twice",))


@pytest.mark.parametrize(("south", "east"), [(2, 0), (-3, 2), (0, -5)])
def test_a_radar_that_lies_beside_the_image_is_found(right: list[Look], south: int, east: int) -> None:
    found = verdicts(right + scene_looks("moved", first=3, south=south, east=east))["alignment"]
    assert found.verdict == "failed"
    assert found.examples == (f"S2-moved and S1-moved: {south} px south, {east} px east",)


def test_a_shift_of_one_pixel_is_within_what_orbits_leave_open(right: list[Look]) -> None:
    assert verdicts(right + scene_looks("near", first=3, south=1, east=-1))["alignment"].verdict == "passed"


def test_one_shifted_pair_among_many_is_for_a_person(right: list[Look]) -> None:
    many = [replace(look, row=look.row | {"radar_scene": f"S1-{n}"}) for n in range(10) for look in right]
    assert verdicts(many + scene_looks("moved", first=3, south=3))["alignment"].verdict == "look"


def test_a_blank_band_is_found_and_named(right: list[Look]) -> None:
    planes = ground(9)
    planes["s2_20m"][2] = 777
    planes["s1"][1] = np.nan
    found = verdicts([*right, examine({"chip": "blank", "optical_scene": "o", "radar_scene": "r"}, planes)])["blank"]
    assert (found.verdict, found.examples) == ("failed", ("blank: vh, B07",))


def test_the_same_pixels_under_two_names_are_found(right: list[Look]) -> None:
    again = replace(right[0], row=right[0].row | {"chip": "other"})
    rows = index.to_arrow([plain_row("s", "a")])
    found = verdicts([*right, again], rows)["duplicates"]
    assert (found.verdict, found.examples) == ("failed", ("a-0 and other",))
    assert verdicts(right, rows)["duplicates"].verdict == "passed"


def test_ground_seen_twice_in_one_pass_is_found_across_zones() -> None:
    first = plain_row("s", "first")
    later = timedelta(days=5)
    rows = [
        first,
        first.model_copy(update={"chip": "five days later", "optical_time": first.optical_time + later}),
        first.model_copy(update={"chip": "the next chip", "longitude": first.longitude + 0.0131}),
        first.model_copy(update={"chip": "again", "epsg": 32632, "latitude": first.latitude + 0.0005}),
    ]
    found = verdicts([], index.to_arrow(rows))["duplicates"]
    assert (found.verdict, found.examples) == ("failed", ("first and again",))
    assert verdicts([], index.to_arrow(rows[:3]))["duplicates"].verdict == "passed"


@pytest.mark.parametrize(("distance", "verdict"), [(960, "passed"), (900, "failed"), (0, "failed")])
def test_splits_that_share_ground_are_found(distance: int, verdict: str) -> None:
    one = plain_row("s", "one")
    other = one.model_copy(update={"chip": "other", "split": "val", "left": one.left + distance})
    rows = index.to_arrow([one, other])
    assert verdicts([], rows)["splits"].verdict == verdict
    apart = other.model_copy(update={"epsg": 32632})
    assert verdicts([], index.to_arrow([one, apart]))["splits"].verdict == "passed"


def test_nothing_looked_at_is_nothing_known() -> None:
    assert {check.verdict for check in run_checks(EMPTY, SIZE, [])} == {"unknown"}


def real_pair(optical: Path, radar: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Radar in decibels and the 10 m bands of a real pair."""

    def read(folder: Path, name: str) -> npt.NDArray[Any]:
        [path] = [path for path in folder.glob("*.tif") if path.stem.lower().endswith(name)]
        with rasterio.open(path) as file:
            return np.asarray(file.read(1))

    bands = np.stack([read(optical, name) for name in ("b02", "b03", "b04", "b08")])
    power = np.stack([read(radar, name) for name in ("vv", "vh")]).astype(np.float64)
    return 10 * np.log10(np.where(power > 0, power, np.nan)), bands


@pytest.mark.parametrize(("south", "east"), [(0, 0), (3, -2)])
def test_shifts_of_real_pairs_are_found(real_samples: Path, south: int, east: int) -> None:
    """Published pairs lie right within a pixel; one shows snow and one a forest without structure, and say nothing."""
    clear = 0
    folders = [
        (path, Path(str(path).replace("S2L2A", "S1RTC"))) for path in (real_samples / "terramind").glob("*S2L2A")
    ]
    for path in (real_samples / "bigearthnet").glob("S2*"):
        place = "_".join(path.name.split("_")[-2:])
        folders += [(path, other) for other in (real_samples / "bigearthnet").glob(f"S1*_{place}")]
    for optical, radar in folders:
        decibels, bands = real_pair(optical, radar)
        found = fits(np.roll(decibels, (south, east), (1, 2)), bands)
        assert found is not None
        moved = shift(found)
        if moved.clarity >= 4:
            clear += 1
            assert max(abs(moved.south - south), abs(moved.east - east)) <= 1
    assert len(folders) == 7
    assert clear >= 4


def test_chips_without_structure_say_nothing() -> None:
    planes = ground(0)
    assert fits(planes["s1"][:, :24, :24], planes["s2_10m"][:, :24, :24]) is None
    assert fits(np.full_like(planes["s1"], -12), planes["s2_10m"]) is None
    assert fits(np.full_like(planes["s1"], np.nan), planes["s2_10m"]) is None
    assert fits(planes["s1"], np.full_like(planes["s2_10m"], 500)) is None


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A labelled version of two splits over real files, with a refusal."""
    folder = tmp_path_factory.mktemp("report")
    root = str(folder / "datasets" / "fields")
    sources = ("sentinel-1-rtc", "sentinel-2-l2a", "esa-worldcover")
    write_header(root, Header(format=1, name="fields", chip_size=24, label=True, sources=sources))
    scenes, labels = make_scenes(folder / "scenes"), make_labels(folder / "scenes")
    plans = [
        make_plan(scenes, [(0, 0), (6, 0), (12, 0), (0, 6)], labels),
        make_plan(scenes, [(0, 12), (6, 12)], labels, split="val"),
    ]
    cards = [fill(plan, root) for plan in plans]
    assert any(card.rejections for card in cards)
    return open_dataset(seal(root, cards, {"recipe": "r1", "code": "c1"}, "rule"))


def test_every_pair_of_scenes_has_its_turn(dataset: Dataset) -> None:
    rows = dataset.rows
    pairs = scene_pairs(rows)
    kinds = len(set(pairs.tolist()))
    first = chosen(rows, kinds)
    assert len(set(pairs[first].tolist())) == kinds
    assert set(first) <= set(chosen(rows, kinds + 1))
    assert chosen(rows, 10**6).tolist() == list(range(rows.num_rows))
    assert chosen(rows.slice(0, 0), 5).tolist() == []


def test_counts_are_those_of_the_index(dataset: Dataset) -> None:
    found = {chart["name"]: chart["bars"] for chart in charts(dataset)}
    for name in ("month", "gap", "orbit", "cloud", "reader"):
        total = sum(count for bar in found[name] for count in bar["chips"].values())
        assert total == dataset.rows.num_rows, name
    assert [bar["name"] for bar in found["month"]] == ["2021-06"]
    assert [(bar["name"], bar["colour"]) for bar in found["landcover"]][:2] == [
        ("tree cover", "#006400"),
        ("grassland", "#ffff4c"),
    ]
    ground = sum(share for bar in found["landcover"] for share in bar["chips"].values())
    assert ground == pytest.approx(dataset.rows.num_rows, abs=0.5)
    assert "tile" not in found, "nothing is drawn of what no chip says"


def moved(dataset: Dataset, cells: Mapping[int, tuple[int, int, int]]) -> Dataset:
    """The dataset with some chips elsewhere: by row their zone, left and top."""
    rows = dataset.rows.to_pylist()
    for number, (epsg, left, top) in cells.items():
        rows[number] |= {"epsg": epsg, "left": left, "top": top}
    return replace(dataset, rows=type(dataset.rows).from_pylist(rows, dataset.rows.schema))


def test_a_map_across_the_antimeridian_is_not_cut(dataset: Dataset) -> None:
    count = dataset.rows.num_rows
    across = {
        n: (32601, 300_000 + 600 * n, 7_400_000) if n % 2 else (32660, 700_000 - 600 * n, 7_400_000)
        for n in range(count)
    }
    longitudes = [x for ring, *_ in places(moved(dataset, across))["points"] for x, _ in ring]
    assert max(longitudes) - min(longitudes) < 15


def test_many_places_become_cells(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    from croma.building.report import places as module

    few = places(dataset)
    assert few["kind"] == "places"
    monkeypatch.setattr(module, "POINTS", 2)
    many = places(dataset)
    assert many["kind"] == "cells"
    assert len(many["points"]) <= 2
    assert (
        sum(point[2] for point in many["points"]) == sum(point[2] for point in few["points"]) == dataset.rows.num_rows
    )
    assert many["places"] == few["places"] == len(few["points"])


def test_many_tiles_are_drawn_by_their_corners(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row | {"tile": "33UVP"} for row in moved(dataset, {0: (32633, 300_000, 5_500_000)}).rows.to_pylist()]
    tiled = replace(dataset, rows=type(dataset.rows).from_pylist(rows, dataset.rows.schema))
    [bent] = places(tiled)["tiles"]
    monkeypatch.setattr("croma.building.report.places.TILES", 0)
    [straight] = places(tiled)["tiles"]
    assert len(bent["ring"]) > len(straight["ring"]) == 5
    assert all(corner in bent["ring"] for corner in straight["ring"])


def test_a_version_without_chips_has_no_report(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="this version has no chips"):
        describe_version(DatasetRef(uri=dataset.ref.uri, version=0))


@pytest.fixture(scope="module")
def page(dataset: Dataset) -> str:
    checks = run_checks(dataset.rows, dataset.layout.size, [])
    return render(collect(dataset, checks, {"no-pair": 3}))


def test_it_needs_nothing_from_outside(page: str) -> None:
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg", "", page)
    assert re.findall(r"""(?:src|href)=["']?(?!data:|#)[^"'\s>]*[:/]""", page.partition("const DATA")[0]) == []


def test_content_cannot_break_out_of_the_page(dataset: Dataset) -> None:
    evil = Check(name="</script><script>alert(1)</script>", verdict="passed", asked="", found="")
    page = render(collect(dataset, [evil]))
    assert page.count("</script>") == 1


def test_the_ledger_is_that_of_the_version(dataset: Dataset, tmp_path: Path) -> None:
    data = collect(dataset, [])
    assert [(row["reason"], row["count"]) for row in data["refusals"]] == [("cloud", 1)]
    assert data["refusals"][0]["example"].startswith("S2-1: ")
    assert dict(data["facts"])["recipe"] == "r1"


@pytest.mark.slow
def test_in_a_browser_every_part_is_drawn(page: str, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page)
    with open_page(tmp_path / "report.html", tmp_path / "profile") as browser:

        def count(selector: str) -> int:
            return int(browser.run(f"document.querySelectorAll({json.dumps(selector)}).length"))

        assert browser.run("document.title") == "fields version 1"
        assert count("#check-table tbody tr") == 5
        assert count("#map-box path.place") == len(places(dataset)["points"])
        assert count("#charts .chart") == len(charts(dataset))
        assert count("#refusals tbody tr") == count("#left-out tbody tr") == 1
        assert count("#histograms svg") == count("#statistics tbody tr") == 14
        pictures = count("#pairs img")
        assert pictures == 4 * dataset.rows.num_rows
        loaded = "[...document.querySelectorAll('#pairs img')].every(image => image.naturalWidth === 24)"
        assert browser.run(loaded)

        def choose(control: str, value: str) -> None:
            browser.run(f"{{const c = at('{control}'); c.value = {json.dumps(value)}; c.onchange()}}")

        choose("colour", "land cover")
        assert set(browser.run("[...document.querySelectorAll('path.place')].map(p => p.getAttribute('fill'))")) <= {
            *("#006400", "#ffff4c", "#f096ff")
        }
        before = browser.run("at('statistics').textContent")
        choose("split", "val")
        assert browser.run("at('statistics').textContent") != before
        if folder := os.environ.get("CROMA_PICTURES"):
            browser.picture(Path(folder) / "report.png")


def test_months_are_told_apart(dataset: Dataset) -> None:
    rows = dataset.rows.to_pylist()
    rows[0]["optical_time"] = datetime(2023, 1, 5, tzinfo=UTC)
    other = replace(dataset, rows=type(dataset.rows).from_pylist(rows, dataset.rows.schema))
    month = next(chart for chart in charts(other) if chart["name"] == "month")
    assert [bar["name"] for bar in month["bars"]] == ["2021-06", "2023-01"]
    assert storage.exists(dataset.ref.uri)
