"""MARIDA (Kikaki et al. 2022): marine debris and what can be taken for it, pixel by pixel.

    patches/S2_<date>_<tile>/S2_<date>_<tile>_<n>.tif        11 bands at 10 m, reflectance from 0 to 1, float32
    patches/…/S2_<date>_<tile>_<n>_cl.tif                    classes 1 to 15, 0 is not labelled
    patches/…/S2_<date>_<tile>_<n>_conf.tif                  confidence: 1 high, 2 moderate, 3 low; 0 is not labelled
    splits/{train,val,test}_X.txt                            lines <date>_<tile>_<n>

Images are 256 × 256 px in UTM; there is no radar and no B09, which is nodata. Labels of every confidence count, as in
the authors' baselines, so the confidence is not read.
"""

from pathlib import Path

import numpy as np

from croma.chip import Split
from croma.errors import UnusableError
from croma.importing.bands import twelve
from croma.importing.benchmark import Benchmark, Entry, Sample
from croma.importing.folders import lines, require
from croma.raster.whole import read_whole

NAME = "marida"
CLASSES = (
    *("marine debris", "dense Sargassum", "sparse Sargassum", "natural organic material", "ship", "clouds"),
    *("marine water", "sediment-laden water", "foam", "turbid water", "shallow water", "waves", "cloud shadows"),
    *("wakes", "mixed water"),
)
BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")


def find(folder: Path) -> Benchmark:
    """The images that the lists name."""
    splits: tuple[Split, ...] = ("train", "val", "test")
    require(NAME, folder, "patches", *(f"splits/{split}_X.txt" for split in splits))
    entries = []
    for split in splits:
        for line in lines(folder / "splits" / f"{split}_X.txt"):
            name = f"S2_{line}"
            patch = folder / "patches" / name.rpartition("_")[0] / name
            files = {"image": patch.with_name(f"{name}.tif"), "label": patch.with_name(f"{name}_cl.tif")}
            entries.append(Entry(name=name, split=split, files=files))
    return Benchmark(
        sources=(NAME, "sentinel-2-l1c"),
        sensors=("optical",),
        labels="mask",
        classes=dict(enumerate(CLASSES, 1)),
        image=256,
        size=96,
        entries=tuple(sorted(entries, key=lambda entry: entry.name)),
        read=read,
    )


def read(entry: Entry) -> list[Sample]:
    """The image with its classes."""
    image, label = read_whole(entry.files["image"]), read_whole(entry.files["label"]).pixels[0]
    label = np.nan_to_num(label)
    if label.min() < 0 or label.max() > len(CLASSES):
        raise UnusableError(f"{entry.files['label']}: labels up to {label.max()} where 0 to {len(CLASSES)} are")
    return [
        Sample(
            name=entry.name,
            place=entry.name,
            radar=None,
            optical={10: twelve(image.pixels, BANDS, scale=10_000)},
            label=label.astype(np.uint8),
            ground=image.ground,
            facts={"optical_scene": entry.name.rpartition("_")[0]},
        )
    ]
