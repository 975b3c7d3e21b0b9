"""Items against the STAC schemas and against real items of Planetary Computer."""

import json
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pystac
import pytest

from croma.simulate.world import World

pytestmark = pytest.mark.slow


def of(world: World, collection: str) -> list[dict[str, Any]]:
    return [item for item in world.items if item["collection"] == collection]


def validated(document: dict[str, Any], folder: Path) -> bool:
    """Whether the core schemas of STAC accept it; those of extensions would need a network."""
    path = folder / "document.json"
    path.write_text(json.dumps(document))
    command = [str(Path(sysconfig.get_path("scripts")) / "rustac"), "validate", str(path)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def plain(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "stac_extensions": []}


def test_items_and_collections_are_valid_stac(world: World, tmp_path: Path) -> None:
    items = [plain(item) for item in world.items]
    assert validated({"type": "FeatureCollection", "features": items}, tmp_path)
    assert not validated({"type": "FeatureCollection", "features": [{**items[0], "bbox": [1, 2]}]}, tmp_path)
    assert len({(item["collection"], item["id"]) for item in items}) == len(items)
    collections = sorted((world.folder / "collections").glob("*.json"))
    assert [path.stem for path in collections] == ["esa-worldcover", "sentinel-1-rtc", "sentinel-2-l2a"]
    for path in collections:
        assert validated(plain(json.loads(path.read_text())), tmp_path), path.stem
    for item in world.items:
        assert (world.folder / item["links"][0]["href"]).is_file()
        assert pystac.Item.from_dict(item).collection_id == item["collection"]


def kinds(value: Any) -> Any:
    """The shape of JSON: types instead of values."""
    if isinstance(value, dict):
        return {key: kinds(part) for key, part in value.items()}
    if isinstance(value, list):
        return [kinds(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


@pytest.mark.parametrize(
    ("collection", "file", "left_out"),
    [
        ("sentinel-2-l2a", "sentinel-2-l2a-pc.json", set()),
        ("sentinel-1-rtc", "sentinel-1-rtc-pc.json", set()),
    ],
)
def test_properties_are_those_of_planetary_computer(
    world: World, real_samples: Path, collection: str, file: str, left_out: set[str]
) -> None:
    real = json.loads((real_samples / "stac" / file).read_text())[0]
    ours = of(world, collection)[0]
    assert ours["stac_version"] == real["stac_version"]
    assert ours["stac_extensions"] == real["stac_extensions"]
    assert kinds(ours["properties"]) == kinds({k: v for k, v in real["properties"].items() if k not in left_out})
    for key, asset in ours["assets"].items():
        missing = set(real["assets"][key]) - set(asset)
        assert missing <= {"file:checksum"}, key
        assert set(asset) <= set(real["assets"][key]), key
        assert asset["title"] == real["assets"][key]["title"]
        if "eo:bands" in asset:
            assert asset["eo:bands"] == real["assets"][key]["eo:bands"]


def test_b8a_comes_last_and_masks_declare_nothing(world: World) -> None:
    keys = list(of(world, "sentinel-2-l2a")[0]["assets"])
    # Written with sorted keys, as the catalog sends them.
    assert keys == sorted(keys)
    assert keys[keys.index("B12") + 1] == "B8A"
    assert "raster:bands" not in of(world, "sentinel-2-l2a")[0]["assets"]["B02"]


def test_radar_times_have_a_space_where_the_standard_has_a_t(world: World) -> None:
    for item in of(world, "sentinel-1-rtc"):
        facts = item["properties"]
        for name in ("start_datetime", "end_datetime"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00", facts[name])
        assert facts["start_datetime"][11:19] < facts["datetime"][11:19] < facts["end_datetime"][11:19]


def test_orbits_follow_from_one_another(world: World) -> None:
    """175 orbits in 12 days for Sentinel-1: relative and absolute numbers must agree, and grow with time."""
    by_platform: dict[str, list[tuple[str, int]]] = {}
    for item in of(world, "sentinel-1-rtc"):
        facts = item["properties"]
        shift = 73 if facts["platform"] == "SENTINEL-1A" else 27
        assert (facts["sat:absolute_orbit"] - shift) % 175 + 1 == facts["sat:relative_orbit"]
        by_platform.setdefault(facts["platform"], []).append((facts["datetime"], facts["sat:absolute_orbit"]))
    for passes in by_platform.values():
        ordered = [orbit for _, orbit in sorted(passes)]
        assert ordered == sorted(ordered)


def test_addresses_are_relative_and_hold_no_secret(world: World) -> None:
    for item in world.items:
        for asset in item["assets"].values():
            assert (world.folder / asset["href"]).is_file()
            assert not asset["href"].startswith("/")
            assert "?" not in asset["href"]


def test_the_map_has_no_single_time(world: World) -> None:
    items = of(world, "esa-worldcover")
    assert {item["id"][-7:] for item in items} == {"N54E009", "N54E012"}
    for item in items:
        assert item["properties"]["datetime"] is None
        assert item["properties"]["start_datetime"] == "2021-01-01T00:00:00Z"
