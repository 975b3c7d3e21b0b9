"""torchgeo's CROMA by the path of its one file: torchgeo is installed without its forty dependencies."""

import enum
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


def load_torchgeo() -> ModuleType:
    """The module `torchgeo.models.croma`.

    Raises:
        ImportError: torchgeo is not installed.
    """
    try:
        files = importlib.metadata.files("torchgeo") or []
    except importlib.metadata.PackageNotFoundError:
        raise ImportError("torchgeo is not installed: pip install --no-deps torchgeo==0.8.1 einops") from None
    (path,) = (file.locate() for file in files if str(file) == "torchgeo/models/croma.py")
    spec = importlib.util.spec_from_file_location("torchgeo_croma", str(path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _torchvision():
        spec.loader.exec_module(module)
    return module


@contextmanager
def _torchvision() -> Iterator[None]:
    """Where torchvision is absent, its two base classes for lists of downloads are stood in for."""
    if importlib.util.find_spec("torchvision") is not None:
        yield
        return
    api = ModuleType("torchvision.models._api")
    vars(api)["Weights"] = type("Weights", (), {"__init__": lambda self, **fields: self.__dict__.update(fields)})
    vars(api)["WeightsEnum"] = enum.Enum
    names = ("torchvision", "torchvision.models")
    sys.modules.update({**{name: ModuleType(name) for name in names}, api.__name__: api})
    try:
        yield
    finally:
        for name in (*names, api.__name__):
            del sys.modules[name]
