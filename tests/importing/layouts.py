"""Small files in the layouts of published benchmarks, as tests make them. Pixels of every image are told apart."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from rasterio.transform import Affine, from_origin

UTM = from_origin(399_960, 5_400_000, 10, 10)


def tif(
    path: Path, pixels: np.ndarray, transform: Affine | None = UTM, crs: str | None = "EPSG:32633", **profile: Any
) -> np.ndarray:
    """Write (bands, h, w) as a GeoTIFF; without a transform it has no georeference."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype.name, "driver": "GTiff"}
    ground = {"crs": crs, "transform": transform} if transform else {}
    with rasterio.open(path, "w", **shape, **ground, **profile) as file:
        file.write(pixels)
    return pixels


def spectrum(number: int, bands: int, size: int, dtype: str = "uint16") -> np.ndarray:
    """Noise around 100 for the first band, 200 for the second …, other for every number; never nodata."""
    rng = np.random.default_rng(number)
    levels = 100 * np.arange(1, bands + 1)[:, None, None]
    return (levels + rng.integers(-40, 40, (bands, size, size))).astype(dtype)


def decibels(number: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    return (np.array([-10, -17])[:, None, None] + rng.normal(0, 2, (2, size, size))).astype(np.float32)


def eurosat(folder: Path, each: int = 6, size: int = 64, classes: Sequence[str] = ("Forest", "SeaLake")) -> Path:
    """Thirteen bands, B8A last; forests are bright in the infrared, water is dark."""
    home = folder / "ds" / "tif"
    for name in ("AnnualCrop", *classes):
        (home / name).mkdir(parents=True, exist_ok=True)
    for c, name in enumerate(classes):
        for number in range(each):
            pixels = spectrum(100 * c + number, 13, size) + np.uint16(2000 * (c == 0))
            place = from_origin(400_010 + 25_000 * number, 5_300_000 + 25_000 * c, 10, 10)
            tif(home / name / f"{name}_{number + 1}.tif", pixels, place)
    return folder


def sen1floods11(folder: Path, per_split: int = 2, size: int = 64) -> Path:
    """The right half of every image is water, which is dark in both sensors; the first row is not labelled."""
    hand = folder / "flood_events" / "HandLabeled"
    degrees = from_origin(13.0, 48.7, 8.983e-5, 8.983e-5)
    for s, split in enumerate(("train", "valid", "test", "bolivia")):
        names = []
        for number in range(per_split):
            name = f"Event{s}_{1000 * s + number}"
            names.append(name)
            place = Affine.translation(0.4 * number, -0.4 * s) @ degrees
            wet = np.zeros((size, size), bool)
            wet[:, size // 2 :] = True
            label = wet.astype(np.int16)
            label[0] = -1
            radar = decibels(10 * s + number, size) - np.where(wet, 10, 0).astype(np.float32)
            optical = spectrum(10 * s + number, 13, size, "int16") + np.where(wet, 0, 1500).astype(np.int16)
            tif(hand / "S1Hand" / f"{name}_S1Hand.tif", radar, place, "EPSG:4326", nodata=float("nan"))
            tif(hand / "S2Hand" / f"{name}_S2Hand.tif", optical, place, "EPSG:4326", nodata=0)
            tif(hand / "LabelHand" / f"{name}_LabelHand.tif", label, place, "EPSG:4326")
        text = "".join(f"{name}_S1Hand.tif,{name}_LabelHand.tif\n" for name in names)
        (folder / f"flood_{split}_data.csv").write_text(text)
    return folder


def ben_patch(home: Path, name: str, planes: dict[str, np.ndarray], corner: tuple[int, int], size: int = 1200) -> None:
    """One file a band, each at its own resolution."""
    for band, pixels in planes.items():
        step = size / pixels.shape[-1]
        tif(home / name / f"{name}_{band}.tif", pixels, from_origin(*corner, step, step))


BEN_LABELS = ["Coniferous forest", "Water bodies"]


def ben_planes(number: int) -> dict[str, np.ndarray]:
    sides = dict.fromkeys(("B02", "B03", "B04", "B08"), 120) | dict.fromkeys(("B01", "B09"), 20)
    names = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
    rng = np.random.default_rng(number)
    return {
        name: (100 * (i + 1) + rng.integers(-40, 40, (sides.get(name, 60),) * 2)).astype(np.uint16)
        for i, name in enumerate(names)
    }


def bigearthnet(folder: Path, per_split: int = 1) -> Path:
    """Version 1.0 with Sentinel-1."""
    for s, split in enumerate(("train", "val", "test")):
        rows = []
        for number in range(per_split):
            row = 10 * s + number
            s2 = f"S2A_MSIL2A_20170613T101031_{row}_48"
            s1 = f"S1A_IW_GRDH_1SDV_20170613T165043_33UUP_{row}_48"
            corner = (404_400 + 12_000 * number, 5_342_400 - 24_000 * s)
            ben_patch(folder / "BigEarthNet-v1.0", s2, ben_planes(row), corner)
            vv, vh = decibels(row, 120)
            ben_patch(folder / "BigEarthNet-S1-v1.0", s1, {"VV": vv, "VH": vh}, corner)
            labels = BEN_LABELS if number % 2 == 0 else ["Rice fields"]
            path = folder / "BigEarthNet-v1.0" / s2 / f"{s2}_labels_metadata.json"
            path.write_text(json.dumps({"labels": labels, "projection": "…"}))
            rows.append(f"{s2},{s1}\n")
        (folder / f"{split}.csv").write_text("".join(rows))
    return folder


def bigearthnet_v2(folder: Path, per_split: int = 1) -> Path:
    """Version 2.0: a folder for each product, metadata in Parquet."""
    table = []
    for s, split in enumerate(("train", "validation", "test")):
        for number in range(per_split):
            row = 10 * s + number
            product, radar = "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP", "S1A_IW_GRDH_1SDV_20170613T165043"
            s2, s1 = f"{product}_{row}_48", f"{radar}_33UUP_{row}_48"
            corner = (404_400 + 12_000 * number, 5_342_400 - 24_000 * s)
            ben_patch(folder / "BigEarthNet-S2" / product, s2, ben_planes(row), corner)
            vv, vh = decibels(row, 120)
            ben_patch(folder / "BigEarthNet-S1" / radar, s1, {"VV": vv, "VH": vh}, corner)
            labels = ["Urban fabric", "Marine waters"] if number % 2 == 0 else ["Arable land"]
            table.append({"patch_id": s2, "s1_name": s1, "labels": labels, "split": split, "country": "Austria"})
    pq.write_table(pa.Table.from_pylist(table), folder / "metadata.parquet")
    return folder


def dfc2020(folder: Path, learn: int = 5, score: int = 2, size: int = 256) -> Path:
    """Four quadrants of forest, savanna, cropland and water."""
    label = np.kron(np.array([[1, 3], [6, 10]]), np.ones((size // 2, size // 2))).astype(np.uint16)
    for name, tail, count in (("test", "0", learn), ("validation", "validation", score)):
        home = folder / f"ROIs0000_{name}"
        for number in range(count):

            def path(kind: str, home=home, name=name, tail=tail, number=number) -> Path:
                return home / f"{kind}_{tail}" / f"ROIs0000_{name}_{kind}_{tail}_p{number}.tif"

            tif(path("s1"), decibels(number, size))
            tif(path("s2"), spectrum(number, 13, size) + (100 * label).astype(np.uint16))
            tif(path("dfc"), label)
            tif(path("lc"), np.zeros((4, size, size), np.uint16))
    return folder


def marida(folder: Path, per_split: int = 1, size: int = 256) -> Path:
    """Sparse labels: a strip of debris and one of water; reflectance from 0 to 1, no B09."""
    (folder / "splits").mkdir(parents=True)
    for s, split in enumerate(("train", "val", "test")):
        names = []
        for number in range(per_split):
            name = f"S2_{s + 1}-12-19_48MYU_{number}"
            names.append(name.removeprefix("S2_"))
            home = folder / "patches" / name.rpartition("_")[0]
            pixels = spectrum(10 * s + number, 11, size).astype(np.float32) / 10_000
            pixels[:, 5, 5] = np.nan
            label = np.zeros((size, size), np.float32)
            label[10:20], label[40:60] = 1, 7
            tif(home / f"{name}.tif", pixels)
            tif(home / f"{name}_cl.tif", label)
            tif(home / f"{name}_conf.tif", (label > 0).astype(np.float32))
        (folder / "splits" / f"{split}_X.txt").write_text("\n".join(names) + "\n")
    return folder


def oscd(folder: Path, train: int = 5, test: int = 2, size: int = 100) -> Path:
    """A square of every city becomes bright between the dates."""
    title = "Onera Satellite Change Detection dataset - "
    for published, count in (("Train", train), ("Test", test)):
        for number in range(count):
            city = f"{published.lower()}city{number}"
            images = folder / f"{title}Images" / city
            mask = np.zeros((size, size), np.uint8)
            mask[20:60, 30 + number : 80] = 255
            seed = 100 * (published == "Test") + number
            first = spectrum(seed, 13, size)
            second = spectrum(seed + 50, 13, size) + np.where(mask, 2500, 0).astype(np.uint16)
            for date, pixels in ((1, first), (2, second)):
                for band, plane in zip(BANDS_13, pixels, strict=True):
                    tif(images / f"imgs_{date}_rect" / f"{band}.tif", plane, None, None)
            (images / "dates.txt").write_text("date_1: 20160304\ndate_2: 20180120\n")
            path = folder / f"{title}{published} Labels" / city / "cm" / "cm.png"
            path.parent.mkdir(parents=True)
            with rasterio.open(path, "w", driver="PNG", count=1, height=size, width=size, dtype="uint8") as file:
                file.write(mask[None])
    return folder


BANDS_13 = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")


def fmow_sentinel(folder: Path, each: int = 2) -> Path:
    """Images larger and smaller than a chip."""
    for s, split in enumerate(("train", "val", "test_gt")):
        rows = ["category,location_id,image_id,timestamp"]
        for c, category in enumerate(("airport", "zoo")):
            for number in range(each):
                place, image = f"{category}_{number}", f"{category}_{number}_{s}"
                size = 40 if number % 2 else 131
                path = folder / "fmow-sentinel" / split / category / place / f"{image}.tif"
                tif(path, spectrum(100 * s + 10 * c + number, 13, size) + np.uint16(1000 * c))
                rows.append(f"{category},{number},{s},2016-07-01T10:10:3{c}+00:00")
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return folder
