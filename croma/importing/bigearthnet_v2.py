"""BigEarthNet 2.0 (reBEN, Clasen et al. 2024): the land covers in an image, of nineteen.

    BigEarthNet-S2/<product>/<S2 patch>/<S2 patch>_B01.tif …    12 bands at 10, 20 and 60 m, uint16
    BigEarthNet-S1/<product>/<S1 patch>/<S1 patch>_{VV,VH}.tif   decibels, float32
    metadata.parquet                                             patch_id, s1_name, labels, split

Splits are the authors', which keep neighbours together. Without the folder of Sentinel-1 there is no radar.
"""

from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq

from croma.chip import Split
from croma.errors import InputError
from croma.importing.benchmark import Benchmark, Entry, Sample
from croma.importing.bigearthnet import benchmark, files_of, labels_of, pair
from croma.importing.folders import require

NAME = "bigearthnet-v2"
COLUMNS = ("patch_id", "s1_name", "labels", "split")
SPLITS: Mapping[str, Split] = {"train": "train", "validation": "val", "val": "val", "test": "test"}


def find(folder: Path) -> Benchmark:
    """The images that the metadata names."""
    require(NAME, folder, "BigEarthNet-S2", "metadata.parquet")
    table = folder / "metadata.parquet"
    missing = [name for name in COLUMNS if name not in pq.read_schema(table).names]
    if missing:
        raise InputError(f"{table}: no column {', '.join(missing)}")
    has_radar = (folder / "BigEarthNet-S1").is_dir()
    entries = []
    for row in pq.read_table(table, columns=list(COLUMNS)).to_pylist():
        s2, s1 = row["patch_id"], row["s1_name"]
        optical = folder / "BigEarthNet-S2" / s2.rsplit("_", 2)[0] / s2
        radar = folder / "BigEarthNet-S1" / s1.rsplit("_", 3)[0] / s1 if has_radar else None
        files = files_of(optical, radar)
        del files["json"]
        entries.append(Entry(name=s2, split=_split(row["split"], table), files=files, label=labels_of(row["labels"])))
    return benchmark((NAME, "sentinel-1-grd", "sentinel-2-l2a"), entries, has_radar, read)


def read(entry: Entry) -> list[Sample]:
    """The pair with its classes."""
    assert isinstance(entry.label, frozenset)
    return [pair(entry, entry.label)]


def _split(name: str, table: Path) -> Split:
    if name not in SPLITS:
        raise InputError(f"{table}: split {name!r}; expected {', '.join(SPLITS)}")
    return SPLITS[name]
