"""The same chips in every form that the loaders of `benchmarks.loaders` read: bands as stored, uncompressed."""

import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from croma.shards.dataset import open_dataset
from croma.shards.reader import read_chips
from croma.shards.ref import DatasetRef
from tests.datasets import write_dataset

Planes = dict[str, npt.NDArray[Any]]

PER_SHARD = 256
"""Chips of a shard, of an MDS file, of a litdata chunk, of a Zarr shard."""
FOLDERS = {"streaming": "mds"}
"""Of a package's form, where it has another name."""
TYPES = {"s1": np.float16, "s2_10m": np.uint16, "s2_20m": np.uint16, "s2_60m": np.uint16}


def make(folder: Path, shards: int, size: int = 120) -> None:
    """Write all forms below `folder`, unless they are there: `shards` × `PER_SHARD` chips of noise, `size` px."""
    writers = {"streaming": _mds, "litdata": _litdata, "zarr": _zarr}
    here = [module for module in writers if importable(module)]
    done, wanted = folder / "forms.json", json.dumps([shards, size, here])
    if done.exists() and done.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    uri = write_dataset(str(folder), size, shards, PER_SHARD)
    dataset = open_dataset(DatasetRef(uri=uri))
    rows = dataset.table("train").to_pylist()
    chips = [{name: np.asarray(planes[name]) for name in TYPES} for planes in read_chips(dataset, rows)]
    for module in here:
        writers[module](folder / FOLDERS.get(module, module), chips)
    done.write_text(wanted)


def importable(module: str) -> bool:
    """Whether a package is installed and loads; says why one that is installed does not."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            print(f"{module} is left out: {error}", file=sys.stderr)
        return False
    except Exception as error:  # noqa: BLE001 - a torchvision made for another torch raises RuntimeError
        print(f"{module} is left out: {error}", file=sys.stderr)
        return False
    return True


def _mds(folder: Path, chips: list[Planes]) -> None:
    from streaming import MDSWriter

    shape = {name: ",".join(map(str, plane.shape)) for name, plane in chips[0].items()}
    columns = {name: f"ndarray:{np.dtype(kind).name}:{shape[name]}" for name, kind in TYPES.items()}
    limit = PER_SHARD * sum(plane.nbytes for plane in chips[0].values())
    with MDSWriter(out=str(folder), columns=columns, size_limit=limit) as out:
        for chip in chips:
            out.write(chip)


def _litdata(folder: Path, chips: list[Planes]) -> None:
    from litdata.streaming.writer import BinaryWriter

    folder.mkdir()
    writer = BinaryWriter(str(folder), chunk_size=PER_SHARD)
    for number, chip in enumerate(chips):
        writer[number] = chip
    writer.done()
    writer.merge()


def _zarr(folder: Path, chips: list[Planes]) -> None:
    import zarr

    group = zarr.open_group(str(folder), mode="w")
    for name, kind in TYPES.items():
        shape = chips[0][name].shape
        array = group.create_array(
            name,
            shape=(len(chips), *shape),
            dtype=kind,
            chunks=(1, *shape),
            shards=(PER_SHARD, *shape),
            compressors=None,
        )
        array[:] = np.stack([chip[name] for chip in chips])
    zarr.consolidate_metadata(str(folder))
