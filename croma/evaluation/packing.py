"""A model as MLflow stores it: weights, the code that runs them and nothing else, a signature, a tiny example."""

import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import croma
from croma.evaluation import serving
from croma.evaluation.modalities import modalities_of, sensors_of
from croma.evaluation.sources import Source
from croma.tracking.run import Run

_CODE = (
    "__init__.py",
    "errors.py",
    "sensors.py",
    "batches/__init__.py",
    "batches/normalise.py",
    "evaluation/__init__.py",
    "evaluation/modalities.py",
    "evaluation/serving.py",
    "model/*.py",
)
"""What `serving` imports, below the package."""

_NEEDS = ("torch", "numpy", "safetensors")


def log_model(run: Run, source: Source, metadata: Mapping[str, str]) -> str:
    """Log the weights as a model of `run`, once, and return its id. `metadata` goes into the model's file."""
    with TemporaryDirectory() as name:
        data, code = Path(name) / "data", Path(name) / "croma"
        data.mkdir()
        shutil.copyfile(source.file, data / serving.WEIGHTS)
        _copy_code(code)
        example = _example(source)
        return run.model(
            "croma",
            loader=serving.__name__,
            data=data,
            code=[code],
            example=example,
            answer=serving.load_model(data).predict(example),
            requirements=[f"{need}=={version(need).partition('+')[0]}" for need in _NEEDS],
            metadata=metadata,
            step=source.step,
        )


def _copy_code(target: Path) -> None:
    package = Path(croma.__file__ or "").parent
    for pattern in _CODE:
        for file in package.glob(pattern):
            copy = target / file.relative_to(package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def _example(source: Source) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """One pair of two by two patches at the mean of the training split: MLflow stores it as text."""
    side = 2 * source.model.spec.patch

    def flat(means: tuple[float, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        image = np.ones((1, len(means), side, side), np.float32)
        return image * np.round(np.array(means, np.float32))[None, :, None, None]

    sensors = sensors_of(modalities_of(source.model.spec))
    return {sensor: flat(source.constants[f"{sensor}_mean"]) for sensor in sensors}
