"""One door per vendor: a third-party system is imported in one place, and floors below it do not know it."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

DOORS = {
    "prefect": {"flows"},
    "pystac_client": {"croma/catalog/search.py"},
    "planetary_computer": {"croma/catalog/signing.py"},
    "stackstac": {"croma/raster/stack.py"},
    "rasterio": {"croma/raster", "croma/simulate"},
    "obstore": {"croma/raster/source.py", "croma/ranges.py"},
    "imagecodecs": {"croma/raster/codec.py"},
    "deltalake": {"croma/shards/delta.py"},
    "fsspec": {"croma/storage.py"},
    "s3fs": {"croma/storage.py"},
    "boto3": set(),
    "mlflow": {"croma/tracking"},
    "ray": {
        *("croma/training/ray_job.py", "croma/training/ray_worker.py", "croma/training/ray_metrics.py"),
        *("croma/cluster.py", "croma/nodes.py", "croma/ray_access.py"),
    },
    "sklearn": {"croma/evaluation"},
    "typer": {"croma/cli"},
    "rustac": {"croma/simulate"},
    "zlib_ng": {"croma/batches/checksum.py"},
}
"""Where each vendor may be imported: files, or folders with all that is below."""


def sources() -> list[Path]:
    return sorted([*REPOSITORY.glob("croma/**/*.py"), *REPOSITORY.glob("flows/**/*.py")])


@cache
def vendors(path: Path) -> set[str]:
    """The packages that a file imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("vendor", sorted(DOORS))
def test_one_door(vendor: str) -> None:
    strangers = []
    for path in sources():
        place = path.relative_to(REPOSITORY).as_posix()
        inside = any(place == door or place.startswith(f"{door}/") for door in DOORS[vendor])
        if not inside and vendor in vendors(path):
            strangers.append(place)
    assert not strangers, f"{vendor} is imported outside its door {sorted(DOORS[vendor])}: {strangers}"


def test_packages_are_empty() -> None:
    # Importing a spec must not pull in what its neighbours need.
    full = [path for path in sources() if path.name == "__init__.py" and path.read_text().strip()]
    assert not full


def loaded_by(module: str, *suspects: str) -> list[str]:
    code = f"import sys, {module}; print(*[s for s in {suspects!r} if s in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    return result.stdout.split()


def modules(*patterns: str) -> list[str]:
    paths = [path for pattern in patterns for path in sorted(REPOSITORY.glob(pattern))]
    return [
        p.relative_to(REPOSITORY).with_suffix("").as_posix().replace("/", ".") for p in paths if p.stem != "__init__"
    ]


@pytest.mark.slow
def test_build_wing_never_loads_torch() -> None:
    wing = modules("croma/catalog/*.py", "croma/raster/*.py", "croma/building/*.py", "croma/importing/*.py")
    wing += modules("croma/pairing.py", "croma/splits.py")
    assert loaded_by(", ".join(wing), "torch", "mlflow", "ray") == []


@pytest.mark.slow
def test_learn_wing_never_loads_gdal() -> None:
    wing = modules("croma/batches/*.py", "croma/model/*.py", "croma/objectives/*.py", "croma/training/*.py")
    wing += modules("croma/evaluation/*.py")
    assert loaded_by(", ".join(wing), "rasterio", "pystac_client", "stackstac") == []


@pytest.mark.slow
def test_the_command_line_starts_in_every_image() -> None:
    assert loaded_by("croma.cli.main", "rasterio", "pystac_client", "stackstac", "torch", "ray", "mlflow") == []


def test_model_needs_torch_and_numpy_alone() -> None:
    alone = modules("croma/model/*.py", "croma/objectives/*.py", "croma/batches/*.py")
    alone += ["croma.training.loop", "croma.training.step", "croma.training.schedule"]
    vendors = ("pydantic", "fsspec", "pyarrow", "ray", "mlflow", "sklearn", "matplotlib", "pandas", "boto3")
    assert loaded_by(", ".join(alone), *vendors) == []


@pytest.mark.slow
def test_flows_never_load_torch() -> None:
    assert loaded_by(", ".join(modules("flows/*.py")), "torch") == []
