"""EuroSAT, all bands (Helber et al. 2019): the land use of an image, one of ten.

    <anywhere>/<class>/<class>_<number>.tif       13 bands of Level-1C at 10 m, uint16, B8A last
    eurosat-{train,val,test}.txt                  optional: the common 60/20/20 split, a line <class>_<number>.jpg

Images are 64 × 64 px in UTM; there is no radar. The authors publish no split: without the lists a fifth of the images
is drawn for each of val and test by the hash of their names.
"""

from pathlib import Path

from croma.chip import Split
from croma.importing.bands import twelve
from croma.importing.benchmark import Benchmark, Entry, Sample
from croma.importing.folders import codes, find_one, held_out, lines, none_found
from croma.raster.whole import read_whole

NAME = "eurosat"
CLASSES = (
    *("AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial"),
    *("Pasture", "PermanentCrop", "Residential", "River", "SeaLake"),
)
BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A")


def find(folder: Path) -> Benchmark:
    """All images of the ten folders."""
    home = next((path.parent for path in sorted(folder.rglob(CLASSES[0])) if path.is_dir()), None)
    files = {path.stem: path for name in CLASSES for path in (home / name).glob("*.tif")} if home else {}
    if not files:
        raise none_found(NAME, folder, f"folders {', '.join(CLASSES)} with .tif files of 13 bands")
    code, splits = codes(CLASSES), _splits(folder, list(files))
    entries = [
        Entry(
            name=name,
            split=splits.get(name, "train"),
            files={"image": path},
            label=code[path.parent.name],
            refused=None if name in splits else ("other-split", "in none of the lists"),
        )
        for name, path in sorted(files.items())
    ]
    return Benchmark(
        sources=(NAME, "sentinel-2-l1c"),
        sensors=("optical",),
        labels="class",
        classes={number: name for name, number in code.items()},
        image=64,
        size=64,
        entries=tuple(entries),
        read=read,
    )


def read(entry: Entry) -> list[Sample]:
    """The image with its class."""
    image = read_whole(entry.files["image"])
    assert entry.label is not None
    optical = {10: twelve(image.pixels, BANDS)}
    facts = {"optical_scene": entry.name}
    return [
        Sample(
            name=entry.name,
            place=entry.name,
            radar=None,
            optical=optical,
            label=entry.label,
            ground=image.ground,
            facts=facts,
        )
    ]


def _splits(folder: Path, names: list[str]) -> dict[str, Split]:
    listed: dict[str, Split] = {}
    for split in ("train", "val", "test"):
        path = find_one(folder, f"eurosat-{split}.txt")
        if path is not None:
            listed |= dict.fromkeys((Path(line).stem for line in lines(path)), split)
    if listed:
        return listed
    test = held_out(names, 0.2)
    val = held_out(set(names) - test, 0.25)
    return {name: "test" if name in test else "val" if name in val else "train" for name in names}
