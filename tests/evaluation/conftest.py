"""Fixtures of the evaluation tests."""

from pathlib import Path

import pytest
import torch

from croma.shards.dataset import Dataset, open_dataset
from croma.shards.ref import DatasetRef
from croma.tracking.tracker import Tracker, local_tracker
from tests.evaluation.world import make_dataset, make_weights, three_classes


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_ref(tmp_path_factory: pytest.TempPathFactory) -> DatasetRef:
    """30 chips of three land covers in every split."""
    root = tmp_path_factory.mktemp("tiny")
    return make_dataset(str(root), root, three_classes())


@pytest.fixture(scope="session")
def tiny(tiny_ref: DatasetRef) -> Dataset:
    return open_dataset(tiny_ref)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that was never trained, with a card."""
    return make_weights(tmp_path_factory.mktemp("weights") / "weights.safetensors")


@pytest.fixture(scope="session")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    """One SQLite tracker for all tests; each uses an experiment of its own."""
    return local_tracker(tmp_path_factory.mktemp("tracker"))
