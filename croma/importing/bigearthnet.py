"""BigEarthNet 1.0 with Sentinel-1 (Sumbul et al. 2019, 2021): the land covers in an image, of nineteen.

    BigEarthNet-v1.0/<S2 patch>/<S2 patch>_B01.tif …            12 bands at 10, 20 and 60 m, uint16
    BigEarthNet-v1.0/<S2 patch>/<S2 patch>_labels_metadata.json   names of 43 CORINE classes
    BigEarthNet-S1-v1.0/<S1 patch>/<S1 patch>_{VV,VH}.tif        decibels, float32
    [bigearthnet-]{train,val,test}.csv                           rows <S2 patch>,<S1 patch>

Images are 1200 m wide in UTM, on the Sentinel-2 lattice. The 43 classes become the 19 of the authors' later work; an
image with none of those is in the ledger as `no-label`. Without the folder of Sentinel-1 there is no radar.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from croma.chip import Split
from croma.errors import UnusableError
from croma.importing.bands import two
from croma.importing.benchmark import Benchmark, Entry, Sample
from croma.importing.folders import codes, find_one, none_found, rows, time_in
from croma.raster.whole import Whole, read_whole
from croma.sensors import SENTINEL_2_L2A

NAME = "bigearthnet"
CLASSES = (
    "Urban fabric",
    "Industrial or commercial units",
    "Arable land",
    "Permanent crops",
    "Pastures",
    "Complex cultivation patterns",
    "Land principally occupied by agriculture, with significant areas of natural vegetation",
    "Agro-forestry areas",
    "Broad-leaved forest",
    "Coniferous forest",
    "Mixed forest",
    "Natural grassland and sparsely vegetated areas",
    "Moors, heathland and sclerophyllous vegetation",
    "Transitional woodland, shrub",
    "Beaches, dunes, sands",
    "Inland wetlands",
    "Coastal wetlands",
    "Inland waters",
    "Marine waters",
)
_OF_43: Mapping[str, tuple[str, ...]] = {
    "Urban fabric": ("Continuous urban fabric", "Discontinuous urban fabric"),
    "Arable land": ("Non-irrigated arable land", "Permanently irrigated land", "Rice fields"),
    "Permanent crops": (
        *("Vineyards", "Fruit trees and berry plantations", "Olive groves"),
        "Annual crops associated with permanent crops",
    ),
    "Natural grassland and sparsely vegetated areas": ("Natural grassland", "Sparsely vegetated areas"),
    "Moors, heathland and sclerophyllous vegetation": ("Moors and heathland", "Sclerophyllous vegetation"),
    "Transitional woodland, shrub": ("Transitional woodland/shrub",),
    "Inland wetlands": ("Inland marshes", "Peatbogs"),
    "Coastal wetlands": ("Salt marshes", "Salines"),
    "Inland waters": ("Water courses", "Water bodies"),
    "Marine waters": ("Coastal lagoons", "Estuaries", "Sea and ocean"),
}
CODE_OF: Mapping[str, int] = codes(CLASSES) | {
    name: codes(CLASSES)[whole] for whole, names in _OF_43.items() for name in names
}
"""By the name of a class, of the 19 or of the 43; those of the 43 that belong to none of the 19 are missing."""


def find(folder: Path) -> Benchmark:
    """The images that the lists name."""
    optical, radar = folder / "BigEarthNet-v1.0", folder / "BigEarthNet-S1-v1.0"
    if not optical.is_dir():
        raise none_found(NAME, folder, "BigEarthNet-v1.0/<patch>/<patch>_B01.tif …")
    pairs: list[tuple[str, str, Split]] = []
    splits: tuple[Split, ...] = ("train", "val", "test")
    for split in splits:
        path = find_one(folder, f"bigearthnet-{split}.csv", f"{split}.csv", f"splits/{split}.csv")
        if path is None:
            raise none_found(NAME, folder, f"a list {split}.csv with rows <S2 patch>,<S1 patch>")
        pairs += [(row[0], row[1] if len(row) > 1 else "", split) for row in rows(path)]
    has_radar = radar.is_dir()
    if has_radar and not all(s1 for _, s1, _ in pairs):
        raise none_found(NAME, folder, "lists whose rows name the S1 patch after the S2 patch")
    entries = [
        Entry(name=s2, split=split, files=files_of(optical / s2, radar / s1 if has_radar else None))
        for s2, s1, split in pairs
    ]
    return benchmark((NAME, "sentinel-1-grd", "sentinel-2-l2a"), entries, has_radar, read)


def benchmark(sources: tuple[str, ...], entries: list[Entry], has_radar: bool, reader: Any) -> Benchmark:
    """What both releases have in common."""
    return Benchmark(
        sources=sources if has_radar else (sources[0], sources[2]),
        sensors=("radar", "optical") if has_radar else ("optical",),
        labels="classes",
        classes=dict(enumerate(CLASSES, 1)),
        image=120,
        size=120,
        native=True,
        entries=tuple(sorted(entries, key=lambda entry: entry.name)),
        read=reader,
    )


def files_of(optical: Path, radar: Path | None) -> dict[str, Path]:
    """The files of a pair, given the folder of each patch; files are named after it."""
    files = {band.name: optical / f"{optical.name}_{band.name}.tif" for band in SENTINEL_2_L2A.bands}
    files["json"] = optical / f"{optical.name}_labels_metadata.json"
    if radar is not None:
        files |= {name: radar / f"{radar.name}_{name}.tif" for name in ("VV", "VH")}
    return files


def read(entry: Entry) -> list[Sample]:
    """The pair with its classes."""
    try:
        names = json.loads(entry.files["json"].read_text())["labels"]
    except (OSError, ValueError, KeyError) as error:
        raise UnusableError(f"{entry.files['json']}: no labels in it ({error})") from None
    return [pair(entry, labels_of(names))]


def labels_of(names: Sequence[str]) -> frozenset[int]:
    """Codes of the classes that are among the 19."""
    return frozenset(CODE_OF[name] for name in names if name in CODE_OF)


def pair(entry: Entry, label: frozenset[int]) -> Sample:
    """Both patches as they are, at native resolutions."""
    bands = {band.name: read_whole(entry.files[band.name]) for band in SENTINEL_2_L2A.bands}
    optical = {
        resolution: np.stack([bands[SENTINEL_2_L2A.bands[i].name].pixels[0] for i in SENTINEL_2_L2A.at(resolution)])
        for resolution in SENTINEL_2_L2A.resolutions
    }
    radar: list[Whole] = [read_whole(entry.files[name]) for name in ("VV", "VH") if name in entry.files]
    return Sample(
        name=entry.name,
        place=entry.name,
        radar=two(np.concatenate([one.pixels for one in radar])) if radar else None,
        optical=optical,
        label=label,
        ground=bands["B02"].ground,
        facts=times(entry),
    )


def times(entry: Entry) -> dict[str, Any]:
    """Scenes, times and gap, as the names of the patches tell them."""
    facts: dict[str, Any] = {"optical_scene": entry.name, "optical_time": time_in(entry.name)}
    if "VV" in entry.files:
        name = entry.files["VV"].parent.name
        facts |= {"radar_scene": name, "radar_time": time_in(name)}
        if facts["radar_time"] and facts["optical_time"]:
            gap = datetime.fromisoformat(facts["radar_time"]) - datetime.fromisoformat(facts["optical_time"])
            facts["gap_hours"] = round(gap.total_seconds() / 3600, 4)
    return facts
