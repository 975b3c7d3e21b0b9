"""Which benchmarks can be imported. To add one: a file that makes a `Benchmark` of a folder, and its line here."""

from collections.abc import Callable, Mapping
from pathlib import Path

from croma.errors import InputError
from croma.importing import (
    bigearthnet,
    bigearthnet_v2,
    croma_tensors,
    dfc2020,
    eurosat,
    fmow_sentinel,
    marida,
    oscd,
    sen1floods11,
)
from croma.importing.benchmark import Benchmark

LAYOUTS: Mapping[str, Callable[[Path], Benchmark]] = {
    "bigearthnet": bigearthnet.find,
    "bigearthnet-v2": bigearthnet_v2.find,
    "croma-tensors": croma_tensors.find,
    "dfc2020": dfc2020.find,
    "eurosat": eurosat.find,
    "fmow-sentinel": fmow_sentinel.find,
    "marida": marida.find,
    "oscd": oscd.find,
    "sen1floods11": sen1floods11.find,
}


def open_benchmark(layout: str, folder: Path) -> Benchmark:
    """The benchmark in `folder`. Looks at names and lists, reads no pixel.

    Raises:
        InputError: no such layout, or the folder does not hold it: says what is missing.
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout {layout}: there is none of that name; there are {', '.join(LAYOUTS)}")
    if not folder.exists():
        raise InputError(f"{folder}: there is no such folder")
    found = LAYOUTS[layout](folder)
    names = [entry.name for entry in found.entries]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{folder}: {twice} is listed twice; every image belongs to one split")
    return found
