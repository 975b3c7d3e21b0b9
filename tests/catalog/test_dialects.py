"""Items of every catalog become the same scenes. Recorded answers of the real catalogs go through each dialect."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from croma.catalog.dialects import (
    CDSE,
    DIALECTS,
    EARTH_SEARCH,
    EARTH_SEARCH_C1,
    GENERIC,
    PLANETARY_COMPUTER,
    Dialect,
    dialect_for,
)
from croma.catalog.scene import Refusal, Scene
from croma.errors import InputError
from croma.sensors import SENTINEL_2_L2A
from tests.catalog.builders import item, optical, polygon, radar

OPTICAL_BANDS = {band.name for band in SENTINEL_2_L2A.bands}


def scene(given: dict[str, Any], dialect: Dialect = GENERIC, name: str = "sentinel-2-l2a") -> Scene:
    found = dialect.scene(given, name)
    assert isinstance(found, Scene), found
    return found


def refusal(given: dict[str, Any], dialect: Dialect = GENERIC, name: str = "sentinel-2-l2a") -> Refusal:
    found = dialect.scene(given, name)
    assert isinstance(found, Refusal), found
    return found


def recorded(folder: Path, name: str, collection: str | None = None) -> list[dict[str, Any]]:
    data = json.loads((folder / "stac" / name).read_text())
    items = data if isinstance(data, list) else data.get("features", [data])
    return [entry for entry in items if collection in (None, entry.get("collection"))]


# What the real catalogs say


def test_planetary_computer_optical(real_samples: Path) -> None:
    items = recorded(real_samples, "sentinel-2-l2a-pc.json") + recorded(
        real_samples, "pc_search_sentinel-2-l2a_20190101.json"
    )
    scenes = [scene(entry, PLANETARY_COMPUTER) for entry in items]
    assert len(scenes) == 37
    for found in scenes:
        assert set(found.assets) == OPTICAL_BANDS | {"SCL"}
        assert found.assets["SCL"].offset == 0
        assert {found.assets[band].offset for band in OPTICAL_BANDS} == {-1000.0 if found.baseline == 5.1 else 0.0}
        assert found.baseline in (2.12, 5.1)
        assert found.platform in ("sentinel-2a", "sentinel-2b")
        assert found.epsg is not None
        assert found.tile is not None
        assert found.produced is not None
        assert found.cloud_cover is not None
    first = scenes[0]
    assert first.tile == "47XML"
    assert first.datatake == "GS2B_20240419T095549_037185"
    assert first.time == datetime(2024, 4, 19, 9, 55, 49, 24000, UTC)


def test_planetary_computer_radar(real_samples: Path) -> None:
    scenes = [
        scene(entry, PLANETARY_COMPUTER, "sentinel-1-rtc") for entry in recorded(real_samples, "sentinel-1-rtc-pc.json")
    ]
    assert len(scenes) == 4
    for found in scenes:
        assert set(found.assets) == {"vv", "vh"}
        assert (found.mode, found.polarizations) == ("IW", ("VV", "VH"))
        assert found.platform == "sentinel-1a"
        assert found.timeliness in ("NRT-3h", "Fast-24h")
        assert found.orbit_state in ("ascending", "descending")
        assert found.relative_orbit is not None


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
def test_every_recorded_item_is_a_scene_or_a_refusal_in_every_dialect(real_samples: Path, dialect: Dialect) -> None:
    count = 0
    for path in sorted((real_samples / "stac").glob("*.json")):
        if "collection" in path.name:
            continue
        for entry in recorded(real_samples, path.name):
            for name in dialect.collections:
                found = dialect.scene(entry, name)
                assert isinstance(found, Scene | Refusal)
                assert found.collection
                count += 1
    assert count >= 50


def test_earth_search_contradicts_itself_about_the_offset(real_samples: Path) -> None:
    [entry] = recorded(real_samples, "es_search_s2_landsat_20231008.json", "sentinel-2-l2a")
    found = scene(entry, EARTH_SEARCH)
    assert found.baseline == 5.09
    assert found.assets["B04"].offset == 0, "its flag says that the offset was removed"
    assert found.offset_in_doubt, "its bands say the offset is still there"
    assert found.tile == "13TDE"
    assert found.platform == "sentinel-2a"
    assert found.assets["B8A"].href.endswith("/B8A.tif")
    assert found.assets["SCL"].href.endswith("/SCL.tif")


def test_earth_search_landsat_is_refused(real_samples: Path) -> None:
    [entry] = recorded(real_samples, "es_search_s2_landsat_20231008.json", "landsat-c2-l2")
    assert refusal(entry, EARTH_SEARCH).reason == "no-asset"


def test_earth_search_collection_1(real_samples: Path) -> None:
    [entry] = recorded(real_samples, "sentinel-2-l2a-S2A_T20HNJ_20240311T140636_L2A.json")
    found = scene(entry, EARTH_SEARCH_C1)
    assert (found.baseline, found.assets["B02"].offset, found.offset_in_doubt) == (5.1, -1000.0, False)
    assert found.tile == "20HNJ"
    assert EARTH_SEARCH_C1.collection("sentinel-2-l2a") == found.collection


def test_items_cut_down_by_fields_are_refused_one_by_one(real_samples: Path) -> None:
    reasons = {refusal(entry, EARTH_SEARCH_C1).reason for entry in recorded(real_samples, "es_search_c1_fields.json")}
    assert reasons == {"no-asset"}


def test_old_earth_search_item_with_plain_keys(real_samples: Path) -> None:
    [entry] = recorded(real_samples, "S2A_28QCH_20200714_0_L2A.json")
    found = scene(entry)
    assert found.baseline == 2.14, "only the product's name says it"
    assert found.assets["B02"].offset == 0


def test_planetary_computer_items_of_2019(real_samples: Path) -> None:
    [entry] = recorded(real_samples, "S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json")
    assert scene(entry, PLANETARY_COMPUTER) == scene(entry, GENERIC)


@pytest.mark.parametrize("name", ["bigearthnet", "terramind"])
def test_samples_as_items(real_samples: Path, name: str) -> None:
    items = json.loads((real_samples / name / "items.json").read_text())["features"]
    for entry in items:
        entry["links"] = [{"rel": "self", "href": f"http://127.0.0.1:7822/collections/x/items/{entry['id']}"}]
        if entry["collection"] == "io-lulc-annual-v02":
            found = GENERIC.scene(entry, "io-lulc-annual-v02", "data")
            assert isinstance(found, Scene)
            assert (found.role, set(found.assets)) == (None, {"label"})
            continue
        found = scene(entry, GENERIC, entry["collection"])
        assert "SCL" not in found.assets
        if found.role == "optical":
            assert found.baseline == (None if name == "terramind" else pytest.approx(2.05, abs=0.02))


# CDSE is not among the recordings; this is the shape of its items


def cdse(**properties: Any) -> dict[str, Any]:
    assets = {
        f"{band.name}_{resolution}m": {
            "href": f"s3://eodata/x/{band.name}_{resolution}m.jp2",
            "proj:code": "EPSG:32618",
        }
        for band in SENTINEL_2_L2A.bands
        for resolution in (10, 20, 60)
        if resolution >= band.resolution
    }
    assets["SCL_20m"] = {"href": "s3://eodata/x/SCL_20m.jp2", "proj:code": "EPSG:32618"}
    return item(
        "S2A_MSIL2A_20220128T152641_N0510_R025_T18NWL_20240507T153036",
        "sentinel-2-l2a",
        "2022-01-28T15:26:41.024000Z",
        polygon(-75, 1, -74, 2),
        assets,
        **{
            "platform": "sentinel-2a",
            "processing:version": "05.10",
            "processing:datetime": "2024-05-07T15:30:36.000000Z",
            "grid:code": "MGRS-18NWL",
            "eopf:datatake_id": "GS2A_20220128T152641_034485_N05.10",
            **properties,
        },
    )


def test_cdse() -> None:
    found = scene(cdse(), CDSE)
    assert found.epsg == 32618
    assert found.assets["B02"].href.endswith("B02_10m.jp2")
    assert found.assets["B11"].href.endswith("B11_20m.jp2")
    assert found.assets["B01"].href.endswith("B01_60m.jp2")
    assert (found.baseline, found.assets["B01"].offset) == (5.1, -1000)
    assert found.datatake == "GS2A_20220128T152641_034485"
    assert found.tile == "18NWL"
    assert scene(cdse(), GENERIC) == found


# Offsets


@pytest.mark.parametrize(
    ("number", "expected"),
    [("02.12", 0), ("03.01", 0), ("04.00", -1000), ("05.09", -1000), ("05.10", -1000), ("99.99", -1000), (4, -1000)],
)
def test_the_offset_follows_the_baseline_not_the_date(number: str, expected: float) -> None:
    for time in ("2017-06-23T10:10:31Z", "2024-06-23T10:10:31Z"):
        found = scene(optical("a", time, **{"s2:processing_baseline": number}))
        assert {asset.offset for band, asset in found.assets.items() if band != "SCL"} == {expected}
        assert found.assets["SCL"].offset == 0


def test_an_unknown_baseline_stays_unknown() -> None:
    entry = optical("a")
    del entry["properties"]["s2:processing_baseline"]
    assert scene(entry).baseline is None


@pytest.mark.parametrize(
    ("removed", "stated", "expected", "doubt"),
    [(True, 0, 0, False), (True, -0.1, 0, True), (False, -0.1, -1000, False), (False, 0, -1000, True)],
)
def test_flags_of_earth_search(removed: bool, stated: float, expected: float, doubt: bool) -> None:
    entry = optical("a", **{"s2:processing_baseline": "05.10", "earthsearch:boa_offset_applied": removed})
    for key, asset in entry["assets"].items():
        asset["raster:bands"] = [{"offset": stated if key != "SCL" else 0}]
    found = scene(entry)
    assert (found.assets["B02"].offset, found.offset_in_doubt) == (expected, doubt)


# Times, places, addresses


@pytest.mark.parametrize("text", ["2024-04-19 04:59:04.220006+00:00", "2024-04-19T06:59:04.220006+02:00"])
def test_times_are_read_in_utc(text: str) -> None:
    assert scene(radar("a", text), name="sentinel-1-rtc").time == datetime(2024, 4, 19, 4, 59, 4, 220006, UTC)


def test_a_label_layer_has_the_time_of_its_middle() -> None:
    entry = item(
        "tile",
        "esa-worldcover",
        None,
        polygon(12, 48, 15, 51),
        {"map": {"href": "https://example.org/map.tif"}},
        start_datetime="2021-01-01T00:00:00Z",
        end_datetime="2021-12-31T00:00:00Z",
    )
    found = GENERIC.scene(entry, "esa-worldcover", "map")
    assert isinstance(found, Scene)
    assert found.time == datetime(2021, 7, 2, tzinfo=UTC)
    assert (found.role, list(found.assets)) == (None, ["label"])
    other = GENERIC.scene(entry, "esa-worldcover", "data")
    assert isinstance(other, Refusal)
    assert other.detail == "no asset for label; its assets: map"


@pytest.mark.parametrize("code", [{"proj:code": "EPSG:32633"}, {"proj:epsg": 32633}, {"proj:code": "epsg:32633"}])
def test_projection_in_either_version(code: dict[str, Any]) -> None:
    entry = optical("a")
    del entry["properties"]["proj:epsg"]
    assert scene(entry).epsg is None
    entry["properties"].update(code)
    assert scene(entry).epsg == 32633


def test_signed_addresses_are_stored_unsigned() -> None:
    entry = optical("a")
    entry["assets"]["B02"]["href"] = "https://x.blob.core.windows.net/c/B02.tif?st=2024&se=2025&sp=rl&sig=secret"
    entry["assets"]["B03"]["href"] = "https://x.org/B03.tif?version=2"
    found = scene(entry)
    assert found.assets["B02"].href == "https://x.blob.core.windows.net/c/B02.tif"
    assert found.assets["B03"].href == "https://x.org/B03.tif?version=2"
    assert b"secret" not in found.to_json()


def test_relative_addresses_are_resolved_against_the_item() -> None:
    entry = optical("a")
    entry["assets"]["B02"]["href"] = "./B02.tif"
    assert refusal(entry).reason == "no-asset"
    entry["links"] = [{"rel": "self", "href": "https://example.org/items/a.json"}]
    assert scene(entry).assets["B02"].href == "https://example.org/items/B02.tif"


# Refusals


def damaged(**changes: Any) -> dict[str, Any]:
    entry = optical("broken")
    for key, value in changes.items():
        if key in entry:
            entry[key] = value
        else:
            entry["properties"][key] = value
    return entry


@pytest.mark.parametrize(
    ("entry", "reason", "detail"),
    [
        (damaged(assets={}), "no-asset", "its assets: none"),
        (damaged(geometry=None), "footprint", "no geometry"),
        (damaged(geometry={"type": "Point", "coordinates": [1, 2]}), "footprint", "no polygon"),
        (damaged(datetime="yesterday"), "time", "'yesterday' is not a time"),
        (damaged(datetime=None), "time", "no datetime"),
    ],
)
def test_faulty_items_are_refused_with_a_reason(entry: dict[str, Any], reason: str, detail: str) -> None:
    found = refusal(entry)
    assert (found.scene, found.collection, found.reason) == ("broken", "sentinel-2-l2a", reason)
    assert detail in found.detail


def test_a_missing_scene_classification_is_no_fault() -> None:
    entry = optical("a")
    del entry["assets"]["SCL"]
    assert set(scene(entry).assets) == OPTICAL_BANDS
    del entry["assets"]["B09"]
    assert refusal(entry).detail.startswith("no asset for B09;")


def test_a_radar_item_without_cross_polarisation_is_refused() -> None:
    entry = radar("a")
    del entry["assets"]["vh"]
    assert refusal(entry, name="sentinel-1-rtc").reason == "no-asset"


# Choosing a dialect


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://planetarycomputer.microsoft.com/api/stac/v1", PLANETARY_COMPUTER),
        ("https://earth-search.aws.element84.com/v1", EARTH_SEARCH),
        ("https://stac.dataspace.copernicus.eu/v1/", CDSE),
        ("http://127.0.0.1:7822", GENERIC),
    ],
)
def test_the_host_tells_the_dialect(address: str, expected: Dialect) -> None:
    assert dialect_for(address) is expected
    assert dialect_for("http://127.0.0.1:1", expected.name) is expected


def test_an_unknown_dialect_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'klingon': choose one of .*planetary-computer.*cdse"):
        dialect_for("http://127.0.0.1", "klingon")


@pytest.mark.parametrize("dialect", [EARTH_SEARCH, EARTH_SEARCH_C1, CDSE])
def test_catalogs_without_corrected_radar_say_so(dialect: Dialect) -> None:
    with pytest.raises(InputError, match="no sentinel-1-rtc: its radar is not terrain-corrected"):
        dialect.collection("sentinel-1-rtc")
    assert dialect.collection("esa-worldcover") == "esa-worldcover"


def test_every_dialect_names_every_band() -> None:
    for dialect in DIALECTS.values():
        assert set(dialect.keys["sentinel-2-l2a"]) == OPTICAL_BANDS | {"SCL"}
