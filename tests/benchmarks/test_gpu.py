import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_script_for_gpus_runs_on_a_cpu(tmp_path: Path) -> None:
    options = ["--device", "cpu", "--sizes", "small", "--batch", "2", "--steps", "1", "--rounds", "2", "--no-compile"]
    command = [sys.executable, "-m", "benchmarks.gpu", *options, "--json", str(tmp_path / "report.json")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], capture_output=True)
    report = json.loads((tmp_path / "report.json").read_text())
    row = report["small"]["variants"]["ours, bfloat16"]
    assert row["samples_per_second"] > 0
    assert row["range"][0] <= row["samples_per_second"] <= row["range"][1]


@pytest.mark.slow
def test_it_needs_torch_and_numpy_alone() -> None:
    code = (
        "import sys, benchmarks.gpu;"
        "strangers = {'pydantic', 'fsspec', 'ray', 'mlflow', 'safetensors', 'pyarrow', 'yaml', 'einops'};"
        "print(*sorted(strangers & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert result.stdout.split() == []
