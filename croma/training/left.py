"""Weights that the runs of an experiment have left in storage, so far. Needs no torch."""

from croma import storage
from croma.training.spec import TrainResult

WEIGHTS = "weights.safetensors"


def list_finished(root: str, name: str) -> list[str]:
    """Addresses of the weights of the finished runs of an experiment."""
    results = [address for run in _runs(root, name) if storage.exists(address := storage.join(run, "result.json"))]
    return [TrainResult.model_validate_json(storage.read(address)).weights for address in results]


def list_copies(root: str, name: str) -> list[str]:
    """Addresses of the weights that its runs have kept on their way, oldest step of each run first."""
    found = []
    for run in _runs(root, name):
        folder = storage.join(run, "weights")
        steps = sorted(step for step in storage.list_names(folder) if step.startswith("step-"))
        addresses = [storage.join(folder, step, WEIGHTS) for step in steps]
        found += [address for address in addresses if storage.exists(address)]
    return found


def _runs(root: str, name: str) -> list[str]:
    """Folders of the runs of exactly this experiment: `name-` and the fingerprint."""
    runs = storage.join(root, "runs")
    return [storage.join(runs, run) for run in sorted(storage.list_names(runs)) if run.rpartition("-")[0] == name]
