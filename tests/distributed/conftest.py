"""Storage and a small dataset, for all tests of a module."""

import pytest

from tests.datasets import write_dataset


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("storage"))


@pytest.fixture(scope="module")
def dataset(root: str) -> str:
    return write_dataset(root, shards=3, per_shard=10)
