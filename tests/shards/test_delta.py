import os
import time
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from croma.shards import delta

SCHEMA = pa.schema([pa.field("key", pa.string(), nullable=False)])
MONTHS = 90 * 86_400


def rows(*keys: str) -> pa.Table:
    return pa.table({"key": list(keys)}, schema=SCHEMA)


@pytest.fixture
def table(tmp_path: Path) -> str:
    """A table that makes a checkpoint at every second commit, not at every hundredth."""
    address = str(tmp_path / "table")
    DeltaTable.create(address, SCHEMA, configuration={"delta.checkpointInterval": "2"})
    return address


def test_old_versions_outlive_checkpoints(table: str) -> None:
    for number in range(6):
        delta.append(table, rows(str(number)), "key", {"run": str(number)})
        for file in Path(table, "_delta_log").iterdir():
            os.utime(file, (time.time() - MONTHS,) * 2)
    assert list(Path(table, "_delta_log").glob("*.checkpoint.parquet"))
    assert [delta.read(table, version)[0].num_rows for version in range(7)] == list(range(7))
    assert [version.number for version in delta.history(table)] == list(range(7))
    assert delta.history(table)[3].note == {"run": "2"}


def test_rows_are_added_once(table: str) -> None:
    assert delta.append(table, rows("a", "b"), "key", {}) == 1
    assert delta.append(table, rows("b", "c"), "key", {}) == 2
    assert delta.append(table, rows("a", "c"), "key", {}) == 2
    assert sorted(delta.read(table)[0]["key"].to_pylist()) == ["a", "b", "c"]
