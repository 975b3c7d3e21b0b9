"""The land cover of the IEEE GRSS data fusion contest 2020 (DFC2020, Yokoya et al.): pixel by pixel.

    ROIs0000_{test,validation}/s1_<x>/ROIs0000_<set>_s1_<x>_p<n>.tif     VV, VH in decibels
    ROIs0000_{test,validation}/s2_<x>/…_s2_<x>_p<n>.tif                  13 bands at 10 m, uint16
    ROIs0000_{test,validation}/dfc_<x>/…_dfc_<x>_p<n>.tif                ten classes of the contest at 10 m
    ROIs0000_{test,validation}/lc_<x>/                                   MODIS land cover at 500 m: not used

Images are 256 × 256 px. As in CROMA's evaluation the contest's test set (5128 images) is to learn from and its
validation set (986) to score; a fifth of the images to learn from is held out by hash to choose settings by. Savanna
and snow, which the contest does not score, are nodata.
"""

from pathlib import Path

import numpy as np

from croma.errors import UnusableError
from croma.importing.bands import L1C, twelve, two
from croma.importing.benchmark import Benchmark, Entry, Sample
from croma.importing.folders import held_out, none_found
from croma.raster.whole import read_whole

NAME = "dfc2020"
CLASSES = {
    1: "forest",
    2: "shrubland",
    4: "grassland",
    5: "wetland",
    6: "cropland",
    7: "urban or built-up",
    9: "barren",
    10: "water",
}
HIGHEST = 10
LEARN, SCORE = "ROIs0000_test", "ROIs0000_validation"


def find(folder: Path) -> Benchmark:
    """The labelled images of both sets."""
    images = {name: sorted((folder / name).glob("dfc_*/*_dfc_*.tif")) for name in (LEARN, SCORE)}
    absent = [name for name, found in images.items() if not found]
    if absent:
        raise none_found(NAME, folder, " and ".join(f"{name}/dfc_*/*.tif" for name in absent))
    select = held_out(path.stem for path in images[LEARN])
    entries = [
        Entry(
            name=path.stem.replace("_dfc_", "_"),
            split="test" if name == SCORE else "val" if path.stem in select else "train",
            files={"label": path, "s1": _beside(path, "s1"), "s2": _beside(path, "s2")},
        )
        for name, found in images.items()
        for path in found
    ]
    return Benchmark(
        sources=(NAME, "sentinel-1-grd", "sentinel-2-l1c"),
        sensors=("radar", "optical"),
        labels="mask",
        classes=CLASSES,
        image=256,
        size=96,
        entries=tuple(sorted(entries, key=lambda entry: entry.name)),
        read=read,
    )


def read(entry: Entry) -> list[Sample]:
    """The image with its land cover."""
    radar, optical = read_whole(entry.files["s1"]), read_whole(entry.files["s2"])
    label = read_whole(entry.files["label"]).pixels[0]
    if label.min() < 0 or label.max() > HIGHEST:
        raise UnusableError(f"{entry.files['label']}: labels up to {label.max()} where 0 to {HIGHEST} are")
    return [
        Sample(
            name=entry.name,
            place=entry.name,
            radar=two(radar.pixels),
            optical={10: twelve(optical.pixels, L1C)},
            label=np.where(np.isin(label, list(CLASSES)), label, 0).astype(np.uint8),
            ground=optical.ground,
            facts={"radar_scene": entry.files["s1"].stem, "optical_scene": entry.files["s2"].stem},
        )
    ]


def _beside(label: Path, sensor: str) -> Path:
    folder = label.parent.name.replace("dfc", sensor, 1)
    return label.parent.parent / folder / label.name.replace("_dfc_", f"_{sensor}_")
