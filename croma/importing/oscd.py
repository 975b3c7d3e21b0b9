"""Onera satellite change detection (OSCD, Daudt et al. 2018): pixels of a city that changed between two dates.

    Onera Satellite Change Detection dataset - Images/<city>/imgs_{1,2}_rect/B01.tif …    13 bands at 10 m, uint16
    Onera Satellite Change Detection dataset - Images/<city>/dates.txt                   a line for each date
    Onera Satellite Change Detection dataset - {Train,Test} Labels/<city>/cm/cm.png       0 unchanged, else changed

Images are some 600 px wide and differ by city; there is no radar. Both dates become chips at the same place with the
same mask, and `change` finds them by it. There are 14 cities to learn from and 10 to score; a fifth of the former is
held out by hash to choose settings by.
"""

from pathlib import Path

import numpy as np

from croma.errors import UnusableError
from croma.importing.bands import L1C, twelve
from croma.importing.benchmark import Benchmark, Entry, Sample
from croma.importing.folders import find_one, held_out, lines, none_found, time_in
from croma.raster.whole import Whole, read_whole

NAME = "oscd"
CLASSES = {1: "unchanged", 2: "changed"}
TITLE = "Onera Satellite Change Detection dataset - "


def find(folder: Path) -> Benchmark:
    """The labelled cities."""
    images = find_one(folder, f"{TITLE}Images", "Images")
    if images is None:
        raise none_found(NAME, folder, f"{TITLE}Images/<city>/imgs_1_rect")
    masks: dict[str, dict[str, Path]] = {}
    for published in ("Train", "Test"):
        home = find_one(folder, f"{TITLE}{published} Labels", f"{published} Labels")
        masks[published] = {path.parts[-3]: path for path in sorted(home.glob("*/cm/cm.png"))} if home else {}
        if not masks[published]:
            raise none_found(NAME, folder, f"{TITLE}{published} Labels/<city>/cm/cm.png")
    select = held_out(masks["Train"])
    entries = [
        Entry(
            name=city,
            split="test" if published == "Test" else "val" if city in select else "train",
            files={"label": path, "images": images / city},
        )
        for published, cities in masks.items()
        for city, path in cities.items()
    ]
    return Benchmark(
        sources=(NAME, "sentinel-2-l1c"),
        sensors=("optical",),
        labels="change",
        classes=CLASSES,
        image=600,
        size=96,
        entries=tuple(sorted(entries, key=lambda entry: entry.name)),
        read=read,
    )


def read(entry: Entry) -> list[Sample]:
    """Both dates with the mask of what changed."""
    mask = read_whole(entry.files["label"]).pixels
    changed = mask[:3].max(0) > 0  # some are coloured, with a fourth band for opacity
    dates = _dates(entry.files["images"])
    found = []
    for number, date in enumerate(dates, 1):
        bands = _bands(entry.files["images"] / f"imgs_{number}_rect")
        found.append(
            Sample(
                name=f"{entry.name}-{number}",
                place=entry.name,
                radar=None,
                optical={10: twelve(np.concatenate([band.pixels for band in bands]), L1C)},
                label=(changed + 1).astype(np.uint8),
                ground=None,  # both dates must be at one place, on which their files need not agree
                facts={"optical_scene": f"{entry.name}-{number}", "optical_time": date},
            )
        )
    return found


def _bands(folder: Path) -> list[Whole]:
    paths = [next(iter(sorted(folder.glob(f"*{band}.tif"))), folder / f"{band}.tif") for band in L1C]
    return [read_whole(path) for path in paths]


def _dates(folder: Path) -> list[str]:
    path = folder / "dates.txt"
    times = [time_in(line) for line in lines(path)] if path.exists() else []
    dates = [time for time in times if time is not None]
    if len(set(dates)) != 2:
        raise UnusableError(f"{path}: expected two different dates, found {dates or 'none'}")
    return sorted(dates)
