"""Batches on the device, one ahead: while a step computes, the pixels of the next one are copied."""

from collections.abc import Iterator

import torch

from croma.batches.batch import RawBatch


def feed(batches: Iterator[RawBatch], device: torch.device) -> Iterator[RawBatch]:
    """The same batches on `device`. On a GPU they are copied by a stream of their own; the host buffers are pinned."""
    if device.type != "cuda":
        yield from batches
        return
    copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    waiting: RawBatch | None = None
    for raw in batches:
        with torch.cuda.stream(copies):
            moved = _move(raw, device)
            copied = copies.record_event()
        if waiting is not None:
            yield waiting
        copied.synchronize()  # the loader fills this buffer again when it is asked for the next batch
        waiting = moved
    if waiting is not None:
        yield waiting


def _move(raw: RawBatch, device: torch.device) -> RawBatch:
    moved = raw.moved(lambda tensor: tensor.to(device, non_blocking=True))
    current = torch.cuda.current_stream(device)
    for tensor in (moved.radar, moved.keys, *moved.optical.values()):
        tensor.record_stream(current)
    return moved
