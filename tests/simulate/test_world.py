"""A world on disk: whole, repeatable, georeferenced, and with the quirks of the real thing."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from shapely.geometry import box, shape

from croma.errors import InputError
from croma.sensors import SENTINEL_2_L2A
from croma.simulate.frame import Frame
from croma.simulate.spec import OPTICAL, RADAR, TINY, WorldSpec
from croma.simulate.world import MARKER, World, build_world, fingerprint

pytestmark = pytest.mark.slow

SPECK = WorldSpec(tile=252, step=228, optical=OPTICAL[2:4], radar=RADAR[5:6])
"""The smallest world that still has a duplicate and a stale transform."""


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def of(world: World, collection: str) -> list[dict[str, Any]]:
    return [item for item in world.items if item["collection"] == collection]


def test_the_same_spec_gives_the_same_bytes(tmp_path: Path) -> None:
    one = build_world(SPECK, tmp_path / "one", workers=1)
    two = build_world(SPECK, tmp_path / "two", workers=3)
    assert digests(one.folder) == digests(two.folder)
    other = build_world(SPECK.model_copy(update={"seed": 1}), tmp_path / "other")
    assert digests(other.folder) != digests(one.folder)


def test_a_world_is_made_once_and_replaced_when_its_spec_changes(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    folder = tmp_path / "world"
    build_world(SPECK, folder, progress=lambda done, total: told.append((done, total)))
    assert told == [(i + 1, len(told)) for i in range(len(told))]
    before = (folder / MARKER).stat().st_mtime_ns
    build_world(SPECK, folder, progress=lambda *_: pytest.fail("made again"))
    assert (folder / MARKER).stat().st_mtime_ns == before
    changed = SPECK.model_copy(update={"optical": SPECK.optical[:1]})
    assert len(of(build_world(changed, folder), "sentinel-2-l2a")) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["world"], "no half-made folder is left"
    assert fingerprint(changed) != fingerprint(SPECK)


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_world(SPECK, tmp_path / "world", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_things_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(InputError, match="not a simulated world"):
        build_world(SPECK, tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_files_are_cogs_on_the_grid_their_items_state(world: World) -> None:
    for item in of(world, "sentinel-2-l2a"):
        for name, asset in item["assets"].items():
            with rasterio.open(world.folder / asset["href"]) as file:
                assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG", name
                assert file.compression.name == "deflate"
                assert file.dtypes == (("uint8",) if name == "SCL" else ("uint16",))
                assert file.nodata is None, "real files do not declare it"
                assert file.crs.to_epsg() == item["properties"]["proj:epsg"]
                assert list(file.transform)[:6] == asset["proj:transform"]
                assert list(file.shape) == asset["proj:shape"]
                assert list(file.bounds) == asset["proj:bbox"]
    for item in of(world, "sentinel-1-rtc"):
        for asset in item["assets"].values():
            with rasterio.open(world.folder / asset["href"]) as file:
                assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
                assert file.dtypes == ("float32",)
                assert file.nodata == -32768
                assert file.bounds.left % 10 == file.bounds.top % 10 == 0
                assert asset["file:size"] == (world.folder / asset["href"]).stat().st_size


def test_both_zones_overlap_and_every_band_is_native(world: World) -> None:
    items = of(world, "sentinel-2-l2a")
    assert {item["properties"]["proj:epsg"] for item in items} == {32632, 32633}
    first = [item for item in items if item["properties"]["datetime"] == items[0]["properties"]["datetime"]]
    footprints = [shape(item["geometry"]) for item in first]
    assert len(footprints) == 4
    assert all(one.intersection(other).area > 0 for one in footprints for other in footprints)
    for band in SENTINEL_2_L2A.bands:
        assert items[0]["assets"][band.name]["gsd"] == band.resolution


def test_baselines_are_mixed_and_no_rule_by_date_is_right(world: World) -> None:
    facts = [item["properties"] for item in of(world, "sentinel-2-l2a")]
    offset = {(f["datetime"] >= "2022-01-25", float(f["s2:processing_baseline"]) >= 4) for f in facts}
    assert offset == {(False, False), (False, True), (True, True)}


def test_dark_pixels_tell_the_offset(world: World) -> None:
    """Over open water the near infrared is about 0 once the offset of the baseline is removed."""
    for item in of(world, "sentinel-2-l2a"):
        with rasterio.open(world.folder / item["assets"]["B8A"]["href"]) as file:
            numbers = file.read(1)
        with rasterio.open(world.folder / item["assets"]["SCL"]["href"]) as file:
            water = file.read(1) == 6
        if water.sum() > 500:
            expected = 1000 if float(item["properties"]["s2:processing_baseline"]) >= 4 else 0
            assert abs(float(np.median(numbers[water])) - expected) < 500, item["id"]


def test_a_datatake_was_processed_twice(world: World) -> None:
    seen: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for item in of(world, "sentinel-2-l2a"):
        facts = item["properties"]
        seen.setdefault((facts["s2:mgrs_tile"], facts["datetime"]), []).append(facts)
    twice = [facts for facts in seen.values() if len(facts) == 2]
    assert len(twice) == 2
    for older, newer in twice:
        assert older["s2:generation_time"] < newer["s2:generation_time"]
        assert older["s2:processing_baseline"] < newer["s2:processing_baseline"]
        assert older["s2:datatake_id"].rsplit("_", 1)[0] == newer["s2:datatake_id"].rsplit("_", 1)[0]


def test_partial_scenes_have_real_footprints_and_nodata_outside(world: World) -> None:
    partial = [item for item in of(world, "sentinel-2-l2a") if item["properties"]["s2:nodata_pixel_percentage"] > 5]
    assert partial
    for item in partial:
        area, hull = shape(item["geometry"]), box(*item["bbox"])
        assert area.area < 0.97 * hull.area
        with rasterio.open(world.folder / item["assets"]["B02"]["href"]) as file:
            pixels = file.read(1)
        empty = 100 * float((pixels == 0).mean())
        assert empty == pytest.approx(item["properties"]["s2:nodata_pixel_percentage"], abs=1)


def test_radar_has_nodata_zeros_and_scenes_to_refuse(world: World) -> None:
    nodata, zeros, modes, channels = set(), set(), set(), set()
    for item in of(world, "sentinel-1-rtc"):
        modes.add(item["properties"]["sar:instrument_mode"])
        channels.add(tuple(item["properties"]["sar:polarizations"]))
        assert sorted(item["assets"]) == sorted(c.lower() for c in item["properties"]["sar:polarizations"])
        for asset in item["assets"].values():
            with rasterio.open(world.folder / asset["href"]) as file:
                pixels = file.read(1)
            nodata.add(bool((pixels == -32768).any()))
            zeros.add(bool((pixels == 0).any()))
            assert ((pixels >= 0) | (pixels == -32768)).all()
    assert nodata == zeros == {True, False}
    assert modes == {"IW", "EW"}
    assert {("VV", "VH"), ("VV",), ("HH", "HV")} == channels
    states = {item["properties"]["sat:orbit_state"] for item in of(world, "sentinel-1-rtc")}
    assert states == {"ascending", "descending"}


def test_one_pass_has_a_stale_transform(world: World) -> None:
    wrong = []
    for item in of(world, "sentinel-1-rtc"):
        with rasterio.open(world.folder / next(iter(item["assets"].values()))["href"]) as file:
            told = tuple(item["properties"]["proj:transform"])
            assert len(told) == 9
            wrong.append(told[:6] != tuple(file.transform)[:6])
    assert wrong.count(True) == 2


def test_one_pass_lies_in_one_zone_only_and_covers_both(world: World) -> None:
    takes: dict[str, set[int]] = {}
    for item in of(world, "sentinel-1-rtc"):
        if item["properties"]["sar:polarizations"] == ["VV", "VH"]:
            takes.setdefault(item["properties"]["s1:datatake_id"], set()).add(item["properties"]["proj:epsg"])
    assert sorted(map(sorted, takes.values())) == [[32632, 32633]] * (len(takes) - 1) + [[32633]]


def test_the_map_is_the_truth(world: World) -> None:
    """The land-cover files, in degrees, against the ground itself at random places."""
    from pyproj import Transformer

    from croma.simulate.ground import Ground

    frame = Frame(TINY)
    ground = Ground(frame)
    tile = frame.tiles()[2]
    cover = ground.land(tile.box).cover()
    rows, columns = np.random.default_rng(0).integers(20, tile.box.height - 20, (2, 3000))
    to_degrees = Transformer.from_crs(tile.box.epsg, 4326, always_xy=True)
    longitudes, latitudes = to_degrees.transform(tile.box.left + 10 * columns + 5, tile.box.top - 10 * rows - 5)
    found = np.zeros(3000, np.uint8)
    for item in of(world, "esa-worldcover"):
        with rasterio.open(world.folder / item["assets"]["map"]["href"]) as file:
            assert file.crs.to_epsg() == 4326
            assert file.nodata == 0
            values = np.array([v[0] for v in file.sample(zip(longitudes, latitudes, strict=True))])
        found = np.maximum(found, values)
    assert (found > 0).all()
    # The map's pixels are 9.3 m high and 5.4 m wide: at borders the nearest one may be the neighbour's.
    assert (found == cover[rows, columns]).mean() > 0.9


def test_the_marker_says_what_is_there(world: World) -> None:
    marker = json.loads((world.folder / MARKER).read_text())
    assert marker["scenes"] == len(world.items)
    assert marker["bytes"] < 150e6
    west, south, east, north = world.bbox
    assert 11.8 < west < 12 < east < 12.2
    assert 54.2 < south < 54.3 < north < 54.4
