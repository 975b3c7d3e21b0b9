"""A snapshot answers as a server does; the contract, on files of other people's writers, and what can be wrong."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rustac

from croma.catalog.dialects import GENERIC, PLANETARY_COMPUTER, address_of
from croma.catalog.find import find
from croma.catalog.scene import Scene
from croma.errors import InputError
from croma.extent import AreaOfInterest, TimeWindow
from tests.catalog.builders import optical, polygon
from tests.catalog.contract import AREA, JUNE, CatalogContract, world


class TestSnapshot(CatalogContract):
    @pytest.fixture(scope="class")
    @classmethod
    def address(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        path = tmp_path_factory.mktemp("snapshot") / "items.parquet"
        rustac.write_sync(str(path), world())
        return str(path)


def test_a_folder_of_parts_for_each_collection(tmp_path: Path) -> None:
    items = [item for item in world() if item["collection"] == "sentinel-2-l2a"]
    folder = tmp_path / "sentinel-2-l2a.parquet"
    folder.mkdir()
    for number, start in enumerate(range(0, len(items), 10)):
        rustac.write_sync(str(folder / f"part-{number}.parquet"), items[start : start + 10])
    whole = tmp_path / "whole.parquet"
    rustac.write_sync(str(whole), items)
    template = str(tmp_path / "{collection}.parquet")
    found = find(template, GENERIC, "sentinel-2-l2a", AREA, JUNE)
    assert len(found.scenes) == 25
    assert found == find(str(whole), GENERIC, "sentinel-2-l2a", AREA, JUNE)
    with pytest.raises(InputError, match=r"sentinel-1-rtc.parquet does not exist"):
        find(template, GENERIC, "sentinel-1-rtc", AREA, JUNE)


def test_on_s3(s3_root: str, tmp_path: Path) -> None:
    from croma import storage

    rustac.write_sync(str(tmp_path / "items.parquet"), world())
    storage.write(f"{s3_root}/items.parquet", (tmp_path / "items.parquet").read_bytes())
    assert len(find(f"{s3_root}/items.parquet", GENERIC, "sentinel-2-l2a", AREA, JUNE).scenes) == 25
    with pytest.raises(InputError, match="does not exist"):
        find(f"{s3_root}/other.parquet", GENERIC, "sentinel-2-l2a", AREA, JUNE)


def test_real_items_come_back_whole(real_samples: Path, tmp_path: Path) -> None:
    items = json.loads((real_samples / "stac" / "sentinel-1-rtc-pc.json").read_text())
    optical_items = json.loads((real_samples / "stac" / "sentinel-2-l2a-pc.json").read_text())
    world_wide = AreaOfInterest(bbox=(-180, -90, 180, 90))
    year = TimeWindow.model_validate({"start": "2024-01-01", "end": "2024-12-31"})
    for name, given in (("sentinel-1-rtc", items), ("sentinel-2-l2a", optical_items)):
        path = tmp_path / f"{name}.parquet"
        rustac.write_sync(str(path), given)
        found = find(str(path), PLANETARY_COMPUTER, name, world_wide, year)
        expected = {s.id: s for s in (PLANETARY_COMPUTER.scene(i, name) for i in given) if isinstance(s, Scene)}
        assert {scene.id for scene in found.scenes} == set(expected)
        for scene in found.scenes:
            other = expected[scene.id]
            assert abs((scene.time - other.time).total_seconds()) < 0.001, "the writer keeps milliseconds"
            same = {"time": None, "geometry": None, "produced": None}
            assert scene.model_copy(update=same) == other.model_copy(update=same)


def test_rows_are_narrowed_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from croma.catalog import snapshot

    far = [optical(f"far-{n}", geometry=polygon(100, n % 50, 101, n % 50 + 1)) for n in range(300)]
    rustac.write_sync(str(tmp_path / "x.parquet"), [*far, optical("here"), optical("late", "2022-06-01T00:00:00Z")])
    read: list[str] = []
    original = snapshot._item

    def counting(row: dict[str, Any], collection: str) -> dict[str, Any]:
        read.append(row["id"])
        return original(row, collection)

    monkeypatch.setattr(snapshot, "_item", counting)
    find(str(tmp_path / "x.parquet"), GENERIC, "sentinel-2-l2a", AREA, JUNE)
    assert read == ["here"]


def test_files_that_are_no_snapshot(tmp_path: Path) -> None:
    def look(name: str) -> None:
        find(str(tmp_path / name), GENERIC, "sentinel-2-l2a", AREA, JUNE)

    with pytest.raises(InputError, match=r"none.parquet does not exist"):
        look("none.parquet")
    (tmp_path / "text.parquet").write_text("hello, this is no Parquet file at all")
    with pytest.raises(InputError, match=r"text.parquet is not a Parquet file"):
        look("text.parquet")
    pq.write_table(pa.table({"id": [1]}), tmp_path / "table.parquet")
    with pytest.raises(InputError, match="not stac-geoparquet: it has no column assets, geometry"):
        look("table.parquet")


def test_addresses_of_catalogs() -> None:
    assert address_of("s3://bucket/{collection}.parquet") == "s3://bucket/{collection}.parquet"
    with pytest.raises(InputError, match="expected the address of a STAC API"):
        address_of("items.json")
