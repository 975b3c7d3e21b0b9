"""Published benchmarks' files in, labelled datasets out: every pixel as it is, and nothing dropped silently."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

from croma.errors import InputError
from croma.grid import Cell
from croma.importing.benchmarks import LAYOUTS, open_benchmark
from croma.importing.run import import_benchmark
from croma.sensors import SENTINEL_2_L2A
from croma.shards import index, ledger
from croma.shards.dataset import Dataset, open_dataset
from croma.shards.layout import ChipLayout, decode
from croma.shards.reader import read_chips, verify
from tests.importing import layouts

pytestmark = pytest.mark.slow

Make = Callable[[Path], Path]
MAKERS: dict[str, Make] = {
    "bigearthnet": layouts.bigearthnet,
    "bigearthnet-v2": layouts.bigearthnet_v2,
    "dfc2020": lambda folder: layouts.dfc2020(folder, size=128),
    "eurosat": layouts.eurosat,
    "fmow-sentinel": layouts.fmow_sentinel,
    "marida": lambda folder: layouts.marida(folder, size=128),
    "oscd": layouts.oscd,
    "sen1floods11": layouts.sen1floods11,
}
TWELVE = [band.name for band in SENTINEL_2_L2A.bands]


def imported(tmp_path: Path, layout: str, make: Make | None = None, **options: Any) -> Dataset:
    folder = (make or MAKERS[layout])(tmp_path / "files")
    ref = import_benchmark(layout, folder, str(tmp_path / "dataset"), name="d", **options)
    return open_dataset(ref)


def chips(dataset: Dataset) -> dict[str, dict[str, np.ndarray]]:
    rows = dataset.rows.to_pylist()
    return dict(zip((row["chip"] for row in rows), read_chips(dataset, rows), strict=True))


def file(path: Path) -> np.ndarray:
    with rasterio.open(path) as opened:
        return np.asarray(opened.read())


@pytest.mark.parametrize("layout", sorted(MAKERS))
def test_every_layout_becomes_a_dataset_that_verifies_and_is_found_done(tmp_path: Path, layout: str) -> None:
    dataset = imported(tmp_path, layout)
    assert verify(dataset) == []
    assert set(dataset.rows["split"].to_pylist()) == {"train", "val", "test"}
    assert dataset.header.labelled
    assert {code for shares in dataset.rows["label_shares"].to_pylist() for code, _ in shares} <= set(
        dataset.header.classes
    )
    again = import_benchmark(layout, tmp_path / "files", dataset.ref.uri, name="d")
    assert again == dataset.ref
    elsewhere = import_benchmark(layout, tmp_path / "files", str(tmp_path / "other"), name="d")
    assert open_dataset(elsewhere).rows["crc32"].to_pylist() == dataset.rows["crc32"].to_pylist()
    statistics = dataset.statistics("train")
    assert all(statistics[sensor].count[0] > 0 for sensor in dataset.header.sensors)


def test_eurosat_has_no_radar_and_keeps_every_pixel_of_twelve_bands(tmp_path: Path) -> None:
    dataset = imported(tmp_path, "eurosat")
    assert (dataset.header.sensors, dataset.header.labels, dataset.layout.size) == (("optical",), "class", 64)
    assert dataset.layout.native is False
    chip = chips(dataset)["Forest_3"]
    pixels = file(tmp_path / "files/ds/tif/Forest/Forest_3.tif")
    order = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A"]
    np.testing.assert_array_equal(chip["s2_10m"], pixels[[order.index(name) for name in TWELVE]])
    assert np.isnan(chip["s1"]).all()
    row = next(row for row in dataset.rows.to_pylist() if row["chip"] == "Forest_3")
    assert (row["epsg"], row["left"], row["top"]) == (32633, 450_010, 5_300_000)
    assert (row["radar_nodata"], row["optical_nodata"], row["resampled"]) == (1.0, 0.0, False)
    assert dataset.header.classes[row["label"]] == "Forest"
    assert row["label_shares"] == [(row["label"], 1.0)]


def test_eurosat_takes_published_lists_of_splits(tmp_path: Path) -> None:
    folder = layouts.eurosat(tmp_path / "files")
    (folder / "eurosat-train.txt").write_text("Forest_1.jpg\nSeaLake_1.jpg\n")
    (folder / "eurosat-val.txt").write_text("Forest_2.jpg\n")
    (folder / "eurosat-test.txt").write_text("SeaLake_2.jpg\n")
    dataset = open_dataset(import_benchmark("eurosat", folder, str(tmp_path / "d"), name="d"))
    assert dict(zip(dataset.rows["chip"].to_pylist(), dataset.rows["split"].to_pylist(), strict=True)) == {
        "Forest_1": "train",
        "SeaLake_1": "train",
        "Forest_2": "val",
        "SeaLake_2": "test",
    }
    assert ledger.counts(dataset.ref.uri) == {"other-split": 8}


def test_eurosat_of_another_size_is_the_middle_or_padded(tmp_path: Path) -> None:
    small = chips(imported(tmp_path / "a", "eurosat", size=48))["Forest_1"]["s2_10m"]
    large_set = imported(tmp_path / "b", "eurosat", size=72)
    large = chips(large_set)["Forest_1"]["s2_10m"]
    pixels = file(tmp_path / "a/files/ds/tif/Forest/Forest_1.tif")
    np.testing.assert_array_equal(small[0], pixels[0, 8:56, 8:56])
    np.testing.assert_array_equal(large[0, 4:68, 4:68], pixels[0])
    assert (large[:, :4] == 0).all()
    row = next(row for row in large_set.rows.to_pylist() if row["chip"] == "Forest_1")
    assert (row["left"], row["top"]) == (400_010 - 40, 5_300_000 + 40)
    assert row["optical_nodata"] == pytest.approx(1 - (64 / 72) ** 2, abs=1e-6)


def test_bigearthnet_keeps_native_planes_and_several_labels(tmp_path: Path) -> None:
    dataset = imported(tmp_path, "bigearthnet", lambda folder: layouts.bigearthnet(folder, 2))
    assert dataset.layout == ChipLayout(size=120, label=False)
    name = "S2A_MSIL2A_20170613T101031_0_48"
    chip = chips(dataset)[name]
    home = tmp_path / "files/BigEarthNet-v1.0" / name
    for resolution in (10, 20, 60):
        expected = [file(home / f"{name}_{TWELVE[i]}.tif")[0] for i in SENTINEL_2_L2A.at(resolution)]
        np.testing.assert_array_equal(chip[f"s2_{resolution}m"], expected)
    radar = (
        tmp_path
        / "files/BigEarthNet-S1-v1.0"
        / name.replace("S2A_MSIL2A_20170613T101031", "S1A_IW_GRDH_1SDV_20170613T165043_33UUP")
    )
    expected = np.concatenate([file(radar / f"{radar.name}_{band}.tif") for band in ("VV", "VH")]).astype(np.float16)
    np.testing.assert_array_equal(chip["s1"], expected)
    row = next(row for row in dataset.rows.to_pylist() if row["chip"] == name)
    assert Cell(row["epsg"], row["left"], row["top"]) == Cell(32633, 404_400, 5_342_400)
    assert row["gap_hours"] == pytest.approx(6.67, abs=0.01)
    assert row["label"] is None
    assert {dataset.header.classes[code] for code, _ in row["label_shares"]} == {"Coniferous forest", "Inland waters"}


def test_bigearthnet_without_a_class_of_the_nineteen_goes_to_the_ledger(tmp_path: Path) -> None:
    folder = layouts.bigearthnet(tmp_path / "files", 2)
    path = next(folder.glob("BigEarthNet-v1.0/*_0_48/*.json"))
    path.write_text('{"labels": ["Airports", "Burnt areas"]}')
    dataset = open_dataset(import_benchmark("bigearthnet", folder, str(tmp_path / "d"), name="d"))
    assert dataset.rows.num_rows == 5
    assert ledger.counts(dataset.ref.uri) == {"no-label": 1}


def test_bigearthnet_without_sentinel_1_has_no_radar(tmp_path: Path) -> None:
    folder = layouts.bigearthnet(tmp_path / "files")
    (folder / "BigEarthNet-S1-v1.0").rename(folder / "elsewhere")
    dataset = open_dataset(import_benchmark("bigearthnet", folder, str(tmp_path / "d"), name="d"))
    assert dataset.header.sensors == ("optical",)


def test_sen1floods11_is_tiled_without_losing_or_moving_a_pixel(tmp_path: Path) -> None:
    dataset = imported(tmp_path, "sen1floods11", size=32)
    found = chips(dataset)
    hand = tmp_path / "files/flood_events/HandLabeled"
    label = file(hand / "LabelHand/Event0_0_LabelHand.tif")[0]
    radar = file(hand / "S1Hand/Event0_0_S1Hand.tif").astype(np.float16)
    optical = file(hand / "S2Hand/Event0_0_S2Hand.tif")
    for row in (0, 32):
        for column in (0, 32):
            chip = found[f"Event0_0_r{row}_c{column}"]
            window = (slice(row, row + 32), slice(column, column + 32))
            np.testing.assert_array_equal(chip["label"], label[window] + 1)
            np.testing.assert_array_equal(chip["s1"], radar[:, *window])
            np.testing.assert_array_equal(chip["s2_10m"], np.delete(optical, 10, 0)[:, *window])
    assert ledger.counts(dataset.ref.uri) == {"other-split": 2}
    row = next(row for row in dataset.rows.to_pylist() if row["chip"] == "Event0_0_r0_c32")
    assert row["label"] == 2
    assert row["epsg"] == 32633
    assert abs(row["longitude"] - 13.003) < 0.01


def test_sen1floods11_without_an_optical_file_has_radar_alone_and_says_so(tmp_path: Path) -> None:
    folder = layouts.sen1floods11(tmp_path / "files")
    for path in folder.glob("flood_events/HandLabeled/S2Hand/Event0*"):
        path.unlink()
    nothing = file(folder / "flood_events/HandLabeled/S1Hand/Event0_0_S1Hand.tif") * np.float32(np.nan)
    layouts.tif(folder / "flood_events/HandLabeled/S1Hand/Event0_0_S1Hand.tif", nothing)
    dataset = open_dataset(import_benchmark("sen1floods11", folder, str(tmp_path / "d"), name="d", size=64))
    train = dataset.table("train").to_pylist()
    assert [(row["chip"], row["optical_nodata"], row["radar_nodata"]) for row in train] == [("Event0_1", 1.0, 0.0)]
    assert ledger.counts(dataset.ref.uri) == {"other-split": 2, "nodata": 1}


def test_dfc2020_tiles_overlap_as_the_published_ones_and_leave_two_classes_out(tmp_path: Path) -> None:
    dataset = imported(tmp_path, "dfc2020", layouts.dfc2020)
    tiles = [name.split("_p0")[1] for name in dataset.rows["chip"].to_pylist() if "_test_0_p0_" in name]
    assert sorted(tiles) == sorted(f"_r{r}_c{c}" for r in (0, 80, 160) for c in (0, 80, 160))
    found = chips(dataset)["ROIs0000_test_0_p0_r80_c160"]
    label = file(tmp_path / "files/ROIs0000_test/dfc_0/ROIs0000_test_dfc_0_p0.tif")[0]
    np.testing.assert_array_equal(found["label"], np.where(label == 3, 0, label)[80:176, 160:256])
    by_split = {split: set() for split in ("train", "val", "test")}
    for row in dataset.rows.to_pylist():
        by_split[row["split"]].add(row["chip"].rsplit("_r", 1)[0])
    assert {split: len(images) for split, images in by_split.items()} == {"train": 4, "val": 1, "test": 2}


def test_marida_scales_reflectance_and_lacks_one_band(tmp_path: Path) -> None:
    dataset = imported(tmp_path, "marida", size=128)
    (name, chip), *_ = chips(dataset).items()
    pixels = file(tmp_path / "files/patches" / name.rpartition("_")[0] / f"{name}.tif")
    np.testing.assert_array_equal(chip["s2_10m"][:9], np.rint(np.nan_to_num(pixels[:9]) * 10_000))
    assert (chip["s2_10m"][TWELVE.index("B09")] == 0).all()
    assert dataset.rows["optical_nodata"][0].as_py() == pytest.approx(1 / 128**2, abs=1e-6)
    assert set(np.unique(chip["label"])) == {0, 1, 7}


def test_oscd_pairs_share_their_place_and_their_mask(tmp_path: Path) -> None:
    dataset = imported(tmp_path, "oscd", size=96)
    rows = dataset.rows.to_pylist()
    first = [row for row in rows if row["chip"].startswith("testcity1-1")]
    for row in first:
        other = next(r for r in rows if r["chip"] == row["chip"].replace("-1_", "-2_"))
        assert (row["left"], row["top"], row["epsg"]) == (other["left"], other["top"], 0)
        assert row["optical_time"] < other["optical_time"]
        one, two = read_chips(dataset, [row, other])
        np.testing.assert_array_equal(one["label"], two["label"])
    assert len(first) == 4


def test_oscd_without_two_dates_goes_to_the_ledger(tmp_path: Path) -> None:
    folder = layouts.oscd(tmp_path / "files")
    next(folder.glob("*Images/testcity0/dates.txt")).write_text("date_1: 20160304\n")
    dataset = open_dataset(import_benchmark("oscd", folder, str(tmp_path / "d"), name="d"))
    assert ledger.counts(dataset.ref.uri) == {"unreadable": 1}


def test_fmow_images_are_cut_or_padded_about_their_middle(tmp_path: Path) -> None:
    found = chips(imported(tmp_path, "fmow-sentinel"))
    home = tmp_path / "files/fmow-sentinel/train"
    large, small = (file(home / f"zoo/zoo_{n}/zoo_{n}_0.tif")[0] for n in (0, 1))
    np.testing.assert_array_equal(found["train_zoo_0_0"]["s2_10m"][0], large[17:113, 17:113])
    np.testing.assert_array_equal(found["train_zoo_1_0"]["s2_10m"][0, 28:68, 28:68], small)
    assert np.count_nonzero(found["train_zoo_1_0"]["s2_10m"][0]) == 40 * 40


@pytest.mark.parametrize("kind", ["class", "classes", "mask"])
def test_tensors_of_croma_s_author_are_kept_as_they_are(tmp_path: Path, kind: str) -> None:
    generator = torch.Generator().manual_seed(0)

    def labels(n: int) -> torch.Tensor:
        shapes = {"class": (n,), "classes": (n, 3), "mask": (n, 24, 24)}
        drawn = torch.randint(0, 2 if kind == "classes" else 3, shapes[kind], generator=generator)
        if kind == "mask":
            drawn[:, 0] = 255
        if kind == "classes":
            drawn[:, 0] = 1
        return drawn

    def images(n: int) -> torch.Tensor:
        return torch.randint(0, 256, (n, 14, 24, 24), generator=generator, dtype=torch.uint8)

    tensors = {"train_images": images(10), "train_labels": labels(10)}
    tensors |= {"validation_images": images(4), "validation_labels": labels(4)}
    torch.save(tensors, tmp_path / "DFC_preprocessed.pt")
    ref = import_benchmark("croma-tensors", tmp_path / "DFC_preprocessed.pt", str(tmp_path / "d"), name="d")
    dataset = open_dataset(ref)
    assert (dataset.header.labels, dataset.header.normalised, dataset.header.sources[1]) == (
        kind,
        True,
        "DFC_preprocessed",
    )
    counts = {split: dataset.table(split).num_rows for split in ("train", "val", "test")}
    assert counts == {"train": 8, "val": 2, "test": 4}
    chip = chips(dataset)["validation-000002"]
    image = tensors["validation_images"][2].numpy()
    np.testing.assert_array_equal(chip["s2_10m"], image[:12].astype(int) + 1)
    np.testing.assert_array_equal(chip["s1"], image[12:])
    row = next(row for row in dataset.rows.to_pylist() if row["chip"] == "validation-000002")
    label = tensors["validation_labels"][2].numpy()
    if kind == "class":
        assert row["label"] == label + 1
    elif kind == "classes":
        assert [code - 1 for code, _ in row["label_shares"]] == np.flatnonzero(label).tolist()
    else:
        np.testing.assert_array_equal(chip["label"], np.where(label == 255, 0, label + 1))


def test_a_file_of_tensors_that_would_run_something_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "touched",)

    torch.save({"train_images": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="which no tensor needs"):
        open_benchmark("croma-tensors", tmp_path / "evil.pt")
    assert not (tmp_path / "touched").exists()
    (tmp_path / "text.pt").write_text("no zip")
    with pytest.raises(InputError, match="not a file of tensors"):
        open_benchmark("croma-tensors", tmp_path / "text.pt")


def test_tensors_of_the_wrong_form_are_all_named(tmp_path: Path) -> None:
    torch.save({"train_images": torch.zeros(2, 14, 8, 8)}, tmp_path / "half.pt")
    with pytest.raises(InputError, match="no train_labels, validation_images, validation_labels"):
        open_benchmark("croma-tensors", tmp_path / "half.pt")
    wrong = {f"{part}_{what}": torch.zeros(2, 13, 8, 8) for part in ("train", "validation") for what in ("images",)}
    torch.save(wrong | {f"{part}_labels": torch.zeros(3) for part in ("train", "validation")}, tmp_path / "wrong.pt")
    with pytest.raises(InputError, match="expected square uint8 images") as caught:
        open_benchmark("croma-tensors", tmp_path / "wrong.pt")
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_folder_of_something_else_is_refused_before_anything_is_written(tmp_path: Path, layout: str) -> None:
    (tmp_path / "files").mkdir()
    with pytest.raises(InputError, match="as published"):
        import_benchmark(layout, tmp_path / "files", str(tmp_path / "d"), name="d")
    with pytest.raises(InputError, match="no such folder"):
        import_benchmark(layout, tmp_path / "nothing", str(tmp_path / "d"), name="d")
    assert not (tmp_path / "d").exists()


def test_wrong_words_are_refused(tmp_path: Path) -> None:
    folder = layouts.eurosat(tmp_path / "files")
    with pytest.raises(InputError, match="there are bigearthnet, "):
        import_benchmark("eurosta", folder, str(tmp_path / "d"), name="d")
    for size in (20, 50):
        with pytest.raises(InputError, match="at least 24 px"):
            import_benchmark("eurosat", folder, str(tmp_path / "d"), name="d", size=size)
    native = layouts.bigearthnet(tmp_path / "ben")
    with pytest.raises(InputError, match="taken whole"):
        import_benchmark("bigearthnet", native, str(tmp_path / "d"), name="d", size=96)
    import_benchmark("eurosat", folder, str(tmp_path / "d"), name="d")
    with pytest.raises(InputError, match="exists and differs"):
        import_benchmark("bigearthnet", native, str(tmp_path / "d"), name="d")


def test_a_broken_image_goes_to_the_ledger_and_the_others_are_imported(tmp_path: Path) -> None:
    folder = layouts.eurosat(tmp_path / "files")
    path = next(folder.rglob("Forest_2.tif"))
    path.write_bytes(path.read_bytes()[:2000])
    dataset = open_dataset(import_benchmark("eurosat", folder, str(tmp_path / "d"), name="d"))
    assert dataset.rows.num_rows == 11
    assert ledger.counts(dataset.ref.uri) == {"unreadable": 1}


def test_a_benchmark_of_broken_images_alone_is_refused_with_an_example(tmp_path: Path) -> None:
    folder = layouts.eurosat(tmp_path / "files", each=3)
    for path in folder.rglob("*.tif"):
        path.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"no image can be used \(6 unreadable; for example (Forest|SeaLake)_"):
        import_benchmark("eurosat", folder, str(tmp_path / "d"), name="d")


def test_an_import_that_was_stopped_goes_on_after_its_last_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = layouts.eurosat(tmp_path / "files")
    uri, real = str(tmp_path / "d"), index.commit

    def stop(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(index, "commit", stop)
    with pytest.raises(KeyboardInterrupt):
        import_benchmark("eurosat", folder, uri, name="d")
    monkeypatch.setattr(index, "commit", real)
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "d/shards").rglob("*.tar")}
    assert shards
    import_benchmark("eurosat", folder, uri, name="d")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "d/shards").rglob("*.tar")} == shards


def test_a_layout_with_all_bands_at_10_m_is_laid_out_like_any_other() -> None:
    layout = ChipLayout(size=64, label=True, native=False)
    assert [(plane.name, plane.shape) for plane in layout.planes] == [
        ("s1", (2, 64, 64)),
        ("s2_10m", (12, 64, 64)),
        ("label", (64, 64)),
    ]
    assert all(plane.offset % 512 == 0 for plane in layout.planes)
    assert set(decode(bytes(layout.length), layout)) == {"s1", "s2_10m", "label"}
