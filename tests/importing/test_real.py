"""The importers on real files: Sen1Floods11 as published, and BigEarthNet patches under the names of its releases."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from croma.importing.run import import_benchmark
from croma.sensors import SENTINEL_2_L2A
from croma.shards import ledger
from croma.shards.dataset import open_dataset
from croma.shards.reader import read_chips, verify
from tests.importing.layouts import tif

pytestmark = pytest.mark.slow

SPLIT_OF = {"Spain_7370579": "train", "India_900498": "valid", "Ghana_97059": "test", "Paraguay_34417": "test"}


def floods(real: Path, folder: Path) -> Path:
    """The real files under their published paths."""
    for kind, home in (("S1Hand", "S1"), ("S2Hand", "S2"), ("LabelHand", "Labels")):
        target = folder / "flood_events" / "HandLabeled" / kind
        target.mkdir(parents=True)
        for path in (real / "sen1floods11" / home).glob("*.tif"):
            (target / path.name).symlink_to(path)
    for split in ("train", "valid", "test"):
        names = [name for name, where in SPLIT_OF.items() if where == split]
        text = "".join(f"{name}_S1Hand.tif,{name}_LabelHand.tif\n" for name in names)
        (folder / f"flood_{split}_data.csv").write_text(text)
    return folder


def patches(real: Path, folder: Path) -> list[str]:
    """The real patches as BigEarthNet 1.0 has them: radar in decibels, labels in a file for each."""
    items = {item["id"]: item for item in json.loads((real / "bigearthnet/items.json").read_text())["features"]}
    optical = sorted(path for path in (real / "bigearthnet").glob("S2*") if path.is_dir())
    rows = []
    for path in optical:
        tail = path.name.split("_", 3)[3]
        radar = next(p for p in (real / "bigearthnet").glob("S1*") if p.name.endswith(f"_{tail}"))
        home = folder / "BigEarthNet-v1.0" / path.name
        home.mkdir(parents=True)
        for band in path.glob("*.tif"):
            (home / f"{path.name}_{band.name}").symlink_to(band)
        labels = items[path.name]["properties"]["labels"]
        (home / f"{path.name}_labels_metadata.json").write_text(json.dumps({"labels": labels}))
        for band in ("vv", "vh"):
            with rasterio.open(radar / f"{band}.tif") as file:
                power = file.read()
            target = folder / "BigEarthNet-S1-v1.0" / radar.name / f"{radar.name}_{band.upper()}.tif"
            tif(target, (10 * np.log10(power)).astype(np.float32))
        rows.append(f"{path.name},{radar.name}\n")
    for split, part in (("train", rows[:2]), ("val", rows[2:3]), ("test", rows[3:])):
        (folder / f"{split}.csv").write_text("".join(part))
    return [path.name for path in optical]


def test_real_floods(real_samples: Path, tmp_path: Path) -> None:
    folder = floods(real_samples, tmp_path / "files")
    dataset = open_dataset(import_benchmark("sen1floods11", folder, str(tmp_path / "d"), name="d", size=512))
    assert verify(dataset) == []
    rows = {row["chip"]: row for row in dataset.rows.to_pylist()}
    assert set(rows) == {"Spain_7370579", "India_900498", "Ghana_97059"}
    assert ledger.counts(dataset.ref.uri) == {"nodata": 1}  # Paraguay: radar is NaN throughout, and there is no optical
    spain = rows["Spain_7370579"]
    assert dict(spain["label_shares"]) == pytest.approx({1: 192010 / 262045, 2: 70035 / 262045}, abs=1e-6)
    assert spain["optical_nodata"] == 0
    assert rows["India_900498"]["optical_nodata"] == 1
    assert dict(rows["Ghana_97059"]["label_shares"]) == {1: 1.0}
    (chip,) = read_chips(dataset, [spain])
    with rasterio.open(real_samples / "sen1floods11/S2/Spain_7370579_S2Hand.tif") as file:
        np.testing.assert_array_equal(chip["s2_10m"], np.delete(file.read(), 10, 0))
    with rasterio.open(real_samples / "sen1floods11/S1/Spain_7370579_S1Hand.tif") as file:
        np.testing.assert_array_equal(chip["s1"], file.read().astype(np.float16))
        longitude, latitude = file.lnglat()
    assert (spain["longitude"], spain["latitude"]) == pytest.approx((longitude, latitude), abs=1e-5)


def test_real_floods_in_tiles_hold_every_labelled_pixel_once(real_samples: Path, tmp_path: Path) -> None:
    folder = floods(real_samples, tmp_path / "files")
    dataset = open_dataset(import_benchmark("sen1floods11", folder, str(tmp_path / "d"), name="d"))
    spain = [row for row in dataset.table("train").to_pylist() if row["chip"].startswith("Spain")]
    assert len(spain) == 16
    counts = sum(np.bincount(chip["label"].ravel(), minlength=3) for chip in read_chips(dataset, spain))
    assert counts.tolist() == [99, 192010, 70035]


def test_real_patches_of_bigearthnet(real_samples: Path, tmp_path: Path) -> None:
    names = patches(real_samples, tmp_path / "files")
    dataset = open_dataset(import_benchmark("bigearthnet", tmp_path / "files", str(tmp_path / "d"), name="d"))
    assert verify(dataset) == []
    rows = dataset.rows.to_pylist()
    assert sorted(row["chip"] for row in rows) == names
    for row, chip in zip(rows, read_chips(dataset, rows), strict=True):
        folder = real_samples / "bigearthnet" / row["chip"]
        for resolution in SENTINEL_2_L2A.resolutions:
            for band, plane in zip(SENTINEL_2_L2A.at(resolution), chip[f"s2_{resolution}m"], strict=True):
                with rasterio.open(folder / f"{SENTINEL_2_L2A.bands[band].name}.tif") as file:
                    np.testing.assert_array_equal(plane, file.read(1))
                    assert (file.transform.c, file.transform.f) == (row["left"], row["top"])
        assert abs(row["gap_hours"]) < 8
        assert row["label_shares"]
