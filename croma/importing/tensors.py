"""Tensors of a file that `torch.save` wrote, as NumPy arrays, without torch and without running what is in the file.

Such a file is a ZIP: `data.pkl` says which tensors there are, `data/<key>` are their numbers, not compressed. Of the
pickle nothing is called but what puts tensors, dictionaries and lists together.
"""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from croma.errors import InputError

TYPES: Mapping[str, str] = {
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
    "CharStorage": "|i1",
    "ShortStorage": "<i2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "HalfStorage": "<f2",
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
}

_HEADER = 30
"""Bytes of a ZIP entry's fixed header."""


class _Kind(NamedTuple):
    """Stands for `torch.<name>`, a type of storage."""

    dtype: str


def read_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a dictionary by name, as read-only views of the file: nothing is loaded before it is used.

    Raises:
        InputError: the file is of another kind, or holds anything but tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as raw:
            entries = {info.filename: info for info in archive.infolist()}
            head = next((name for name in entries if name.endswith("/data.pkl")), None)
            if head is None:
                raise InputError(f"{path}: holds no data.pkl, so torch.save did not write it")
            home = head.removesuffix("data.pkl")

            def storage(key: str, dtype: str) -> npt.NDArray[Any]:
                info = entries[f"{home}data/{key}"]
                if info.compress_type != zipfile.ZIP_STORED:
                    raise InputError(f"{path}: its tensors are compressed")
                raw.seek(info.header_offset + _HEADER - 4)
                name, extra = (int.from_bytes(raw.read(2), "little") for _ in range(2))
                start = info.header_offset + _HEADER + name + extra
                count = info.file_size // np.dtype(dtype).itemsize
                return np.memmap(path, dtype, "r", start, (count,)) if count else np.zeros(0, dtype)

            found = _Reader(archive.open(head), storage).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, KeyError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a file of tensors that torch.save (1.6 or later) wrote: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds a {type(found).__name__} where a dictionary of tensors is expected")
    return {str(name): value for name, value in found.items() if isinstance(value, np.ndarray)}


class _Reader(pickle.Unpickler):
    """Knows how to put tensors together, and nothing else."""

    def __init__(self, file: Any, storage: Callable[[str, str], npt.NDArray[Any]]) -> None:
        super().__init__(file)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """The few names that a file of tensors needs."""
        if module == "torch" and name in TYPES:
            return _Kind(TYPES[name])
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no tensor needs")

    def persistent_load(self, pid: Any) -> Any:
        """A storage by its key."""
        _, kind, key, *_ = pid
        return self._storage(str(key), kind.dtype)


def _tensor(
    storage: npt.NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> npt.NDArray[Any]:
    item = storage.dtype.itemsize
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if prod(size) else offset
    if offset < 0 or min(stride, default=0) < 0 or last > len(storage):
        raise pickle.UnpicklingError("a tensor reaches beyond its numbers")
    strides = tuple(step * item for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False)
