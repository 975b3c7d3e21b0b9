"""The published metadata of a version, read by programs that are not ours: mlcroissant, rustac, pystac."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pyarrow.parquet as pq
import pystac
import pytest
import rustac
import shapely

from croma import storage
from croma.building.describe import Description, describe_version
from croma.building.fill import fill
from croma.building.prepare import write_header
from croma.building.publish.card import attribution
from croma.building.publish.collection import collection
from croma.building.publish.items import footprints, write_items
from croma.building.publish.sources import SOURCES, sources_of
from croma.building.report.page import commit_of
from croma.building.seal import seal
from croma.shards.dataset import Dataset, Header, open_dataset
from croma.shards.reader import read_chip
from croma.shards.ref import DatasetRef
from tests.building.plans import make_labels, make_plan, make_scenes

pytestmark = pytest.mark.slow

SOURCE_NAMES = ("sentinel-1-rtc", "sentinel-2-l2a", "esa-worldcover")


def build(root: str, scenes_at: Path) -> DatasetRef:
    """A labelled version over real files."""
    write_header(root, Header(format=1, name="fields", chip_size=24, label=True, sources=SOURCE_NAMES))
    scenes, labels = make_scenes(scenes_at), make_labels(scenes_at)
    plans = [make_plan(scenes, [(0, 0), (6, 0)], labels), make_plan(scenes, [(0, 12)], labels, split="val")]
    return seal(root, [fill(plan, root) for plan in plans], {"recipe": "r1"})


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Description:
    folder = tmp_path_factory.mktemp("publish")
    return describe_version(build(str(folder / "datasets" / "fields"), folder / "scenes"))


@pytest.fixture(scope="module")
def folder(described: Description) -> Path:
    return Path(described.folder)


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return open_dataset(DatasetRef(uri=str(folder.parents[1])))


def test_it_is_written_once_and_whole_on_any_storage(root: str, tmp_path: Path) -> None:
    ref = build(storage.join(root, "fields"), tmp_path / "scenes")
    first = describe_version(ref)
    names = storage.list_names(first.folder)
    assert {"report.html", "checks.json", "collection.json", "items.parquet", "croissant.json", "README.md"} <= set(
        names
    )
    page = storage.read(first.report)
    again = describe_version(ref, {"no-pair": 7})
    assert again == first
    assert storage.read(first.report) == page


def test_croissant_is_valid_and_gives_the_chips(folder: Path, dataset: Dataset) -> None:
    found = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert not found.metadata.issues.errors
    assert not found.metadata.issues.warnings
    records = list(found.records("chips"))
    rows = dataset.rows.to_pylist()
    assert [record["chips/id"].decode() for record in records] == [row["chip"] for row in rows]
    for record, row in zip(records, rows, strict=True):
        assert record["chips/datetime"] == row["optical_time"]
        for name in ("split", "shard", "radar_scene"):
            assert record[f"chips/{name}"].decode() == row[name]
        for name in ("gap_hours", "offset", "crc32", "label"):
            assert record[f"chips/{name}"] == row[name]


def test_the_croissant_names_the_very_file(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / "croissant.json").read_text())
    [items] = [each for each in content["distribution"] if each["@type"] == "cr:FileObject"]
    assert items["sha256"] == hashlib.sha256((folder / "items.parquet").read_bytes()).hexdigest()
    assert content["license"] == [source.terms for source in sources_of(SOURCE_NAMES)]
    content["recordSet"][0]["field"][0]["source"]["fileObject"]["@id"] = "nowhere"
    (tmp_path / "croissant.json").write_text(json.dumps(content))
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(jsonld=str(tmp_path / "croissant.json"))


def test_items_are_stac_and_lead_to_the_pixels(folder: Path, dataset: Dataset) -> None:
    items = [pystac.Item.from_dict(entry) for entry in rustac.read_sync(str(folder / "items.parquet"))["features"]]
    rows = dataset.rows.to_pylist()
    assert [item.id for item in items] == [row["chip"] for row in rows]
    for item, row in zip(items, rows, strict=True):
        assert item.collection_id == "fields"
        assert item.datetime == row["optical_time"]
        times = sorted([row["radar_time"], row["optical_time"]])
        assert [item.common_metadata.start_datetime, item.common_metadata.end_datetime] == times
        shape = shapely.geometry.shape(item.geometry)
        assert shape.contains(shapely.Point(row["longitude"], row["latitude"]))
        assert shape.exterior.is_ccw
        np.testing.assert_allclose(item.bbox, shape.bounds)
        assert item.properties["proj:code"] == f"EPSG:{row['epsg']}"
        assert item.properties["proj:transform"][:6] == [10, 0, row["left"], 0, -10, row["top"]]
        assert item.properties["eo:cloud_cover"] == pytest.approx(100 * row["cloud"])
        shard = (folder / item.assets["shard"].href).resolve()
        assert shard.stat().st_size > row["offset"] + row["length"]
        place = {name: item.properties[f"croma:{name}"] for name in ("offset", "length", "crc32", "split", "shard")}
        assert read_chip(dataset.ref.uri, place | {"chip": item.id}, dataset.layout)["s1"].shape == (2, 24, 24)


def test_items_are_geoparquet(folder: Path) -> None:
    meta = pq.read_schema(folder / "items.parquet").metadata
    geo = json.loads(meta[b"geo"])
    assert geo["columns"][geo["primary_column"]]["encoding"] == "WKB"
    assert geo["columns"]["geometry"]["geometry_types"] == ["Polygon"]
    assert json.loads(meta[b"stac-geoparquet"])["version"] == "1.0.0"


def test_the_collection_spans_its_items(folder: Path, dataset: Dataset) -> None:
    found = pystac.Collection.from_file(str(folder / "collection.json"))
    [box] = found.extent.spatial.bboxes
    boxes = np.array([entry["bbox"] for entry in rustac.read_sync(str(folder / "items.parquet"))["features"]])
    np.testing.assert_allclose(box, [*boxes[:, :2].min(0), *boxes[:, 2:].max(0)])
    [[first, last]] = found.extent.temporal.intervals
    times = [row[name] for row in dataset.rows.to_pylist() for name in ("radar_time", "optical_time")]
    assert [first, last] == [min(times), max(times)]
    assert {link.rel for link in found.links} >= {"license", "via"}
    for asset in found.assets.values():
        assert (folder / asset.href).is_file(), asset.href


def elsewhere(dataset: Dataset, places: list[tuple[int, int, int]]) -> Dataset:
    """The first chips of the dataset, moved."""
    rows = dataset.rows.to_pylist()[: len(places)]
    for row, (epsg, left, top), longitude in zip(rows, places, (180.0, -179.9, 179.9), strict=False):
        row |= {"epsg": epsg, "left": left, "top": top, "longitude": longitude}
    return replace(dataset, rows=type(dataset.rows).from_pylist(rows, dataset.rows.schema))


def test_a_chip_across_the_antimeridian_has_two_halves(dataset: Dataset, tmp_path: Path) -> None:
    # At 180° and 65° north the zones 60 and 1 meet; 240 m of ground lie on both sides.
    moved = elsewhere(dataset, [(32601, 358_560, 7_212_000), (32601, 361_200, 7_212_000), (32660, 638_400, 7_212_000)])
    shapes, boxes = footprints(moved, moved.rows)
    assert shapes[0].geom_type == "MultiPolygon"
    west, _, east, _ = boxes[0]
    assert east < -179.99 < 179.99 < west
    degrees = shapely.get_coordinates(shapes[0])[:, 0]
    assert np.abs(degrees).max() <= 180
    assert shapes[0].area == pytest.approx(shapes[1].area, rel=0.01)
    write_items(moved, tmp_path / "items.parquet")
    found = rustac.read_sync(str(tmp_path / "items.parquet"))["features"]
    assert found[0]["geometry"]["type"] == "MultiPolygon"
    [box] = collection(moved, commit_of(dataset)[0], "")["extent"]["spatial"]["bbox"]
    assert box[0] > 179
    assert box[2] < -179


def test_the_card_says_what_it_is_made_of(folder: Path, dataset: Dataset) -> None:
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: other\n")
    for source in sources_of(SOURCE_NAMES):
        assert source.title in card
        assert source.terms in card
    assert attribution(dataset) in card
    assert "Contains modified Copernicus Sentinel data 2021." in card
    counts: dict[str, Any] = dict(re.findall(r"^\| (train|val|test) \| ([\d,]+) \|", card, re.MULTILINE))
    assert {split: int(count) for split, count in counts.items()} == {
        split: dataset.table(split).num_rows for split in ("train", "val")
    }
    mean = dataset.statistics("train")["radar"].mean[0]
    assert f"| vv | {mean:.1f} |" in card


def test_a_source_that_nobody_knows_must_be_asked_for() -> None:
    [known, unknown] = sources_of(["sentinel-2-l2a", "my-layer"])
    assert known is SOURCES["sentinel-2-l2a"]
    assert "ask the provider" in unknown.licence
