"""The fMoW-Sentinel benchmark (Cong et al. 2022): what a place is for, one of 62 functions.

    {train,val,test_gt}.csv                                            category, location_id, image_id, timestamp
    fmow-sentinel/<split>/<category>/<category>_<location>/<category>_<location>_<image>.tif    13 bands at 10 m

Images are a place and its surroundings, from some 20 to some 200 px, and differ in size; there is no radar. Published
results enlarge or shrink them to 96 px; here the middle is cut out, or nodata put around, so that no pixel is invented.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from croma.chip import Split
from croma.importing.bands import L1C, twelve
from croma.importing.benchmark import Benchmark, Entry, Sample
from croma.importing.folders import codes, find_one, none_found, records
from croma.raster.whole import read_whole

NAME = "fmow-sentinel"
COLUMNS = ("category", "location_id", "image_id")
SPLITS: Mapping[str, Split] = {"train": "train", "val": "val", "test_gt": "test"}
SIZE = 96


def find(folder: Path) -> Benchmark:
    """The images that the lists name."""
    images = find_one(folder, "fmow-sentinel", "train/..")
    lists = {name: folder / f"{name}.csv" for name in SPLITS}
    absent = [path.name for path in lists.values() if not path.exists()]
    if images is None or absent:
        raise none_found(NAME, folder, f"fmow-sentinel/<split>/<category>/… and {', '.join(absent) or 'the lists'}")
    listed = {name: records(path, *COLUMNS) for name, path in lists.items()}
    code = codes(sorted({row["category"] for rows in listed.values() for row in rows}))
    entries = []
    for published, rows in listed.items():
        for row in rows:
            place = f"{row['category']}_{row['location_id']}"
            name = f"{place}_{row['image_id']}"
            entries.append(
                Entry(
                    name=f"{published}_{name}",
                    split=SPLITS[published],
                    files={"image": images / published / row["category"] / place / f"{name}.tif"},
                    label=code[row["category"]],
                    facts={"place": f"{published}_{place}", "time": row.get("timestamp") or ""},
                )
            )
    return Benchmark(
        sources=(NAME, "sentinel-2-l1c"),
        sensors=("optical",),
        labels="class",
        classes={number: name for name, number in code.items()},
        image=SIZE,
        size=SIZE,
        entries=tuple(sorted(entries, key=lambda entry: entry.name)),
        read=read,
    )


def read(entry: Entry) -> list[Sample]:
    """The image with its class."""
    image = read_whole(entry.files["image"])
    assert entry.label is not None
    return [
        Sample(
            name=entry.name,
            place=entry.facts["place"],
            radar=None,
            optical={10: twelve(image.pixels, L1C)},
            label=entry.label,
            ground=image.ground,
            facts={"optical_scene": entry.name, "optical_time": _time(entry.facts["time"])},
        )
    ]


def _time(text: str) -> str | None:
    try:
        return datetime.fromisoformat(text).isoformat() if text else None
    except ValueError:
        return None
