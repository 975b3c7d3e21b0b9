import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from croma.cli.commands import app
from croma.shards.dataset import open_dataset
from croma.shards.ref import DatasetRef
from tests.importing import layouts


def test_a_benchmark_is_imported_and_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROMA_STORAGE", str(tmp_path / "storage"))
    folder = layouts.eurosat(tmp_path / "files")
    result = CliRunner().invoke(app, ["import", "eurosat", str(folder)])
    assert result.exit_code == 0, result.output
    assert open_dataset(DatasetRef(uri=str(tmp_path / "storage/datasets/eurosat"))).header.name == "eurosat"
    for line in ("radar      none", "labels     class", "acquired   nobody knows"):
        assert line.split() in [found.split()[: len(line.split())] for found in result.output.splitlines()]
    assert "SeaLake" in result.output
    again = CliRunner().invoke(app, ["inspect", "eurosat", "--verify", "--versions"])
    assert "every checksum agrees" in again.output
    assert "import eurosat" in " ".join(again.output.split())


@pytest.mark.slow
def test_wrong_words_end_with_2_and_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "croma.cli.main", "import", "eurosat"]
    result = subprocess.run([*command, str(tmp_path), "--name", f"{tmp_path}/d"], capture_output=True, text=True)
    assert result.returncode == 2
    assert "give its folder as published" in result.stderr
    assert "Traceback" not in result.stderr


def test_layouts_are_listed() -> None:
    assert CliRunner().invoke(app, ["layouts"]).output.split()[0] == "bigearthnet"
