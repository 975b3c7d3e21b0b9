"""Ways to get shuffled batches of chips, ours and others', each as its makers advise. All read the same pixels.

A loader is a function from a `Job` to an endless or one-epoch iterator of batches, dictionaries of tensors. Planes are
handed over as they are stored, since the device does the rest; the loaders named `float32` make one image of 14 bands
of every chip first, as most training scripts do.
"""

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.forms import TYPES
from croma import ranges
from croma.batches.cache import CachedShards
from croma.batches.filler import Filler
from croma.batches.loader import Loader
from croma.batches.readers import Readers
from croma.batches.source import ChipTable, LocalShards
from croma.batches.spec import Augmentation, Reading
from croma.batches.stream import Stream
from croma.shards.ref import DatasetRef
from croma.training.data import TrainingData, open_training_data
from croma.training.spec import TrainSpec

Batch = dict[str, Tensor]
BUCKET = "bench"
WINDOW = 1024
"""Chips shuffled among each other where they come over the network; peers have buffers of as many."""
REQUESTS = 32
"""In flight at once, of a loader that asks for single chips."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to read."""

    folder: str
    """With all forms of the chips."""
    scratch: str
    """An empty folder, for caches."""
    store: str = ""
    """Address of the object store to stream from, cold; empty reads `folder`."""
    batch: int = 64
    workers: int = 2
    """Threads or processes that read."""
    start: int = 0
    """Batches that were seen before: the loader goes on after them."""
    epochs: int = 1

    def address(self, form: str) -> str:
        """Of a form in the object store, or its folder."""
        return f"s3://{BUCKET}/{form}" if self.store else f"{self.folder}/{form}"

    @property
    def shards(self) -> list[Path]:
        """The tar files, here."""
        return sorted(Path(self.folder).glob("datasets/noise/shards/train/*.tar"))


def ours(job: Job, kept: bool = False) -> Iterator[Batch]:
    """Ours; with checksums, which each process compares at its first read of a chip. Streamed straight into batches."""
    data = _data(job)
    filler = _filler(data, job, Reading(threads=job.workers), kept)
    with Loader(data.order(_spec(job)), data.chips, data.layout.planes, filler) as loader:
        for raw in loader.batches(job.start, job.epochs * len(data.chips) // job.batch):
            yield {"s1": raw.radar, **{f"s2_{resolution}m": plane for resolution, plane in raw.optical.items()}}


def ours_kept(job: Job) -> Iterator[Batch]:
    """Ours, streamed through the cache on local disk."""
    return ours(job, kept=True)


def _data(job: Job) -> TrainingData:
    return open_training_data(DatasetRef(uri=f"{job.folder}/datasets/noise"), _spec(job))


def _spec(job: Job) -> TrainSpec:
    crop = Augmentation(crop=(12, 24))
    return TrainSpec(steps=1, global_batch=job.batch, augmentation=crop, window=WINDOW if job.store else None)


def _filler(data: TrainingData, job: Job, reading: Reading, kept: bool) -> Filler:
    if not job.store:
        return Readers(data.chips, LocalShards(data.chips), reading)
    chips = _remote(data.chips, job)
    if not kept:
        return Stream(chips, ranges.read_into, reading)
    cached = CachedShards(chips, data.runs, ranges.read_pieces, Path(job.scratch), 10**12)
    return Readers(chips, cached, reading)


def _remote(chips: ChipTable, job: Job) -> ChipTable:
    """The same chips in the object store."""
    return replace(chips, shards=tuple(s.replace(job.folder, f"s3://{BUCKET}", 1) for s in chips.shards))


def preadv(job: Job) -> Iterator[Batch]:
    """The floor: nothing but `os.preadv` of the same bytes in a random order, on threads, into buffers that are reused.

    Hands over counts only.
    """
    chips = _data(job).chips
    files = [os.open(path, os.O_RDONLY) for path in chips.shards]
    batches = _shuffled(len(chips), job)
    done = [threading.Event() for _ in batches]

    def read(worker: int) -> None:
        buffers = [memoryview(bytearray(chips.length)) for _ in range(job.batch)]
        for number in range(worker, len(batches), job.workers):
            for row, chip in enumerate(batches[number].tolist()):
                os.preadv(files[chips.shard[chip]], [buffers[row]], int(chips.offset[chip]))
            done[number].set()

    threads = [threading.Thread(target=read, args=(worker,), daemon=True) for worker in range(job.workers)]
    for thread in threads:
        thread.start()
    for event in done:
        event.wait()
        yield {"s1": torch.empty(job.batch, 0)}


def plain_get(job: Job) -> Iterator[Batch]:
    """The floor of streaming: blocks of as many bytes, in a random order, received into buffers that are reused.

    Nothing is kept, compared or put into batches; hands over counts only.
    """
    data = _data(job)
    chips, server = _remote(data.chips, job), job.store.removeprefix("http://")
    blocks = np.random.default_rng(0).permutation(len(data.runs) - 1).tolist()
    here = threading.local()

    def get(block: int) -> int:
        if not hasattr(here, "server"):
            here.server, here.buffer = HTTPConnection(server), memoryview(bytearray(1 << 18))
        first, last = int(data.runs[block]), int(data.runs[block + 1]) - 1
        start, stop = int(chips.offset[first]), int(chips.offset[last]) + chips.length
        path = chips.shards[int(chips.shard[first])].removeprefix("s3:/")
        here.server.request("GET", path, headers={"Range": f"bytes={start}-{stop - 1}"})
        answer = here.server.getresponse()
        while got := answer.readinto(here.buffer):
            start += got
        assert start == stop, "the server does not answer ranges"
        return last + 1 - first

    with ThreadPoolExecutor(REQUESTS) as pool:
        for count in pool.map(get, blocks):
            yield {"s1": torch.empty(count, 0)}


def webdataset(job: Job, as_image: bool = False) -> Iterator[Batch]:
    """The tar files through webdataset: shards shuffled, then a buffer of samples; not a global shuffle."""
    import webdataset as wds

    path = f"{job.store}/{BUCKET}/datasets/noise/shards/train" if job.store else ""
    urls = [f"{path}/{shard.name}" if path else str(shard) for shard in job.shards]
    data = wds.WebDataset(
        urls, shardshuffle=len(urls), nodesplitter=wds.split_by_node, workersplitter=wds.split_by_worker, seed=1
    )
    keys = [f"{name}.npy" for name in TYPES]
    data = data.shuffle(WINDOW).decode().to_tuple(*keys)
    if as_image:
        data = data.map(_image)
        loader = torch.utils.data.DataLoader(data, batch_size=job.batch, num_workers=job.workers, drop_last=True)
        found = ({"image": images} for images in loader)
    else:
        data = data.batched(job.batch, collation_fn=_stack, partial=False)
        found = iter(torch.utils.data.DataLoader(data, batch_size=None, num_workers=job.workers))
    yield from itertools.islice(found, job.start, None)


def webdataset_float32(job: Job) -> Iterator[Batch]:
    """The tar files as webdataset is mostly used: one float32 image a sample, batches made by torch's DataLoader."""
    return webdataset(job, as_image=True)


def _image(planes: tuple[np.ndarray[Any, Any], ...]) -> Tensor:
    """(14, size, size): every band on the grid of 10 m, scaled."""
    radar, ten, *coarse = planes
    size = ten.shape[-1]
    bands = [radar.astype(np.float32) / 40, ten.astype(np.float32) / 10_000]
    for plane in coarse:
        factor = size // plane.shape[-1]
        bands.append(plane.repeat(factor, 1).repeat(factor, 2).astype(np.float32) / 10_000)
    return torch.from_numpy(np.concatenate(bands))


def _stack(samples: list[tuple[np.ndarray[Any, Any], ...]]) -> Batch:
    columns = zip(*samples, strict=True)
    return {name: torch.from_numpy(np.stack(column)) for name, column in zip(TYPES, columns, strict=True)}


def litdata(job: Job) -> Iterator[Batch]:
    """Streaming dataset and loader of litdata."""
    from litdata import StreamingDataLoader, StreamingDataset
    from litdata.streaming import downloader

    options: dict[str, Any] = {}
    if job.store:
        downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True  # it has no setting for a store without TLS
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        options = {"storage_options": {"endpoint_url": job.store, **keys}, "cache_dir": job.scratch}
    data = StreamingDataset(job.address("litdata"), shuffle=True, drop_last=True, seed=1, **options)
    for batch in StreamingDataLoader(data, batch_size=job.batch, num_workers=job.workers):
        yield {name: torch.as_tensor(batch[name]) for name in TYPES}


def mosaicml(job: Job) -> Iterator[Batch]:
    """mosaicml-streaming with its default shuffle."""
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    places = {"remote": job.address("mds"), "local": job.scratch} if job.store else {"local": job.address("mds")}
    data = StreamingDataset(**places, shuffle=True, batch_size=job.batch, shuffle_seed=1)
    yield from torch.utils.data.DataLoader(data, batch_size=job.batch, num_workers=job.workers, drop_last=True)


class ZarrChips(torch.utils.data.Dataset[Batch]):
    """A chip by number from sharded Zarr arrays."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._arrays: dict[str, Any] = {}
        self._length = int(self._open()["s1"].shape[0])
        self._arrays = {}  # every worker opens its own

    def _open(self) -> dict[str, Any]:
        import zarr

        if not self._arrays:
            store: Any = f"{self._job.folder}/zarr"
            if self._job.store:
                from obstore.store import HTTPStore
                from zarr.storage import ObjectStore

                address = f"{self._job.store}/{BUCKET}/zarr"
                store = ObjectStore(HTTPStore.from_url(address, client_options={"allow_http": True}), read_only=True)
            group = zarr.open_group(store, mode="r", use_consolidated=True)
            self._arrays = {name: group[name] for name in TYPES}
        return self._arrays

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, chip: int) -> Batch:
        return {name: torch.from_numpy(array[chip]) for name, array in self._open().items()}


def zarr(job: Job) -> Iterator[Batch]:
    """Sharded Zarr through torch's DataLoader, a global shuffle."""
    draw = torch.Generator().manual_seed(1)
    yield from torch.utils.data.DataLoader(
        ZarrChips(job),
        batch_size=job.batch,
        shuffle=True,
        generator=draw,
        num_workers=job.workers,
        drop_last=True,
        multiprocessing_context="forkserver",
    )


def spdl(job: Job) -> Iterator[Batch]:
    """SPDL's threads over our index: a read (locally) or a range request a chip. It has no format of its own."""
    from spdl.pipeline import PipelineBuilder

    data = _data(job)
    chips = _remote(data.chips, job) if job.store else data.chips
    files = [] if job.store else [os.open(path, os.O_RDONLY) for path in chips.shards]
    wanted = [plane for plane in data.layout.planes if plane.name in TYPES]

    def read(chip: int) -> bytes:
        shard, offset = int(chips.shard[chip]), int(chips.offset[chip])
        if job.store:
            return ranges.read_range(chips.shards[shard], offset, chips.length)
        return os.pread(files[shard], chips.length, offset)

    def together(found: list[bytes]) -> Batch:
        out = {p.name: np.empty((len(found), *p.shape), TYPES[p.name]) for p in wanted}
        for row, chip in enumerate(found):
            for p in wanted:
                out[p.name][row] = np.frombuffer(chip, p.dtype, out[p.name][row].size, p.offset).reshape(p.shape)
        return {name: torch.from_numpy(plane) for name, plane in out.items()}

    builder = PipelineBuilder()
    if job.store:
        numbers = np.concatenate(_shuffled(len(chips), job)).tolist()
        builder = builder.add_source(numbers).pipe(read, concurrency=REQUESTS).aggregate(job.batch, drop_last=True)
        builder = builder.pipe(together, concurrency=job.workers)
    else:
        batches = [numbers.tolist() for numbers in _shuffled(len(chips), job)]
        builder = builder.add_source(batches).pipe(
            lambda n: together([read(chip) for chip in n]), concurrency=job.workers
        )
    running = builder.add_sink(3).build(num_threads=REQUESTS + job.workers if job.store else job.workers)
    with running.auto_stop():
        yield from running


def _shuffled(chips: int, job: Job) -> list[np.ndarray[Any, Any]]:
    """Chips of every batch: a new permutation each epoch."""
    order = np.concatenate([np.random.default_rng(epoch).permutation(chips) for epoch in range(job.epochs)])
    return [order[start : start + job.batch] for start in range(0, len(order) - job.batch + 1, job.batch)]


LOADERS: dict[str, Callable[[Job], Iterator[Batch]]] = {
    "ours": ours,
    "ours kept on disk": ours_kept,
    "preadv": preadv,
    "plain GET": plain_get,
    "webdataset": webdataset,
    "webdataset float32": webdataset_float32,
    "litdata": litdata,
    "mosaicml-streaming": mosaicml,
    "SPDL": spdl,
    "zarr": zarr,
}
NEEDS = {"webdataset float32": "webdataset", "mosaicml-streaming": "streaming", "SPDL": "spdl"}
"""The module of a loader, where it has another name."""
IMPORTS = {
    "ours": ("pyarrow.dataset",),
    "ours kept on disk": ("pyarrow.dataset",),
    "preadv": ("pyarrow.dataset",),
    "plain GET": ("pyarrow.dataset",),
    "webdataset": ("webdataset",),
    "webdataset float32": ("webdataset",),
    "litdata": ("litdata", "litdata.streaming.downloader"),
    "mosaicml-streaming": ("streaming",),
    "SPDL": ("spdl.pipeline", "pyarrow.dataset"),
    "zarr": ("zarr", "obstore.store"),
}
"""Modules that a loader takes time to import where it first needs them."""
