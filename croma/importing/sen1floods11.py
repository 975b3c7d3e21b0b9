"""Sen1Floods11 (Bonafilia et al. 2020), hand-labelled chips: water, pixel by pixel.

    flood_events/HandLabeled/S1Hand/<event>_<id>_S1Hand.tif      VV, VH in decibels, float32, NaN is nodata
    flood_events/HandLabeled/S2Hand/<event>_<id>_S2Hand.tif      13 bands of Level-1C at 10 m, int16, 0 is nodata
    flood_events/HandLabeled/LabelHand/<event>_<id>_LabelHand.tif    -1 nodata, 0 dry, 1 water
    flood_{train,valid,test,bolivia}_data.csv                    rows <…>_S1Hand.tif,<…>_LabelHand.tif

Images are 512 × 512 px in EPSG:4326. Of Bolivia, which the authors hold out from all three splits, nothing is
imported: it is in the ledger as `other-split`. An image without its S2Hand file has radar alone.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from croma.chip import Split
from croma.errors import UnusableError
from croma.importing.bands import L1C, twelve, two
from croma.importing.benchmark import Benchmark, Entry, Sample
from croma.importing.folders import find_one, none_found, rows
from croma.raster.whole import read_whole

NAME = "sen1floods11"
CLASSES = {1: "dry", 2: "water"}
SPLITS: Mapping[str, Split] = {"train": "train", "valid": "val", "test": "test", "bolivia": "test"}
HELD_OUT = "bolivia"


def find(folder: Path) -> Benchmark:
    """The hand-labelled images of the three splits."""
    images = find_one(folder, "flood_events/HandLabeled", "data/flood_events/HandLabeled", "HandLabeled", "S1Hand/..")
    if images is None:
        raise none_found(NAME, folder, "flood_events/HandLabeled/{S1Hand,S2Hand,LabelHand}")
    entries: list[Entry] = []
    for published, split in SPLITS.items():
        listed = f"flood_{published}_data.csv"
        path = find_one(folder, listed, f"splits/flood_handlabeled/{listed}", f"v1.1/splits/flood_handlabeled/{listed}")
        if path is None and published != HELD_OUT:
            raise none_found(NAME, folder, f"splits/flood_handlabeled/{listed}")
        for row in rows(path) if path else []:
            name = row[0].removesuffix("_S1Hand.tif")
            files = {kind: images / kind / f"{name}_{kind}.tif" for kind in ("S1Hand", "S2Hand", "LabelHand")}
            refused = ("other-split", f"of the split {published}") if published == HELD_OUT else None
            entries.append(Entry(name=name, split=split, files=files, refused=refused))
    if not entries:
        raise none_found(NAME, folder, "lists of images that are not empty")
    return Benchmark(
        sources=(NAME, "sentinel-1-grd", "sentinel-2-l1c"),
        sensors=("radar", "optical"),
        labels="mask",
        classes=CLASSES,
        image=512,
        size=128,
        entries=tuple(sorted(entries, key=lambda entry: entry.name)),
        read=read,
    )


def read(entry: Entry) -> list[Sample]:
    """The image with its mask of water."""
    radar = read_whole(entry.files["S1Hand"])
    label = read_whole(entry.files["LabelHand"]).pixels[0]
    if not np.isin(label, (-1, 0, 1)).all():
        raise UnusableError(f"{entry.files['LabelHand']}: labels {np.unique(label).tolist()} where -1, 0 and 1 are")
    optical = None
    if entry.files["S2Hand"].exists():
        optical = {10: twelve(read_whole(entry.files["S2Hand"]).pixels, L1C)}
    return [
        Sample(
            name=entry.name,
            place=entry.name,
            radar=two(radar.pixels),
            optical=optical,
            label=(label + 1).astype(np.uint8),
            ground=radar.ground,
            facts={"radar_scene": f"{entry.name}_S1Hand", "optical_scene": f"{entry.name}_S2Hand" if optical else None},
        )
    ]
