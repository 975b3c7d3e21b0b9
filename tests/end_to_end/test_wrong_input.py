"""What a user can get wrong: each with its sentence and its exit code."""

from pathlib import Path

import pytest
import yaml

from tests.conftest import free_port
from tests.end_to_end.conftest import RECIPE, Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def changed(folder: Path, **fields: object) -> str:
    """The recipe with other fields in its dataset, as a file."""
    recipe = yaml.safe_load(RECIPE.read_text())
    recipe["dataset"] |= fields
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return str(path)


def refused(run: Run, *words: str, **more: str) -> str:
    """What the command says when it refuses: its exit code is 2, and there is no traceback."""
    result = run(*words, **more)
    text = " ".join((result.stdout + result.stderr).split())
    assert result.returncode == 2, text
    assert "Traceback" not in text
    return text


def test_unreachable_catalog(croma: Run) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    assert address in refused(croma, "plan", str(RECIPE), CROMA_CATALOG=address)


def test_empty_search(croma: Run, stac: str, tmp_path: Path) -> None:
    recipe = changed(tmp_path, window={"start": "1999-01-01", "end": "1999-12-31"})
    assert "sentinel-2-l2a" in refused(croma, "plan", recipe, CROMA_CATALOG=stac)


def test_no_pair_within_the_gap(croma: Run, stac: str, tmp_path: Path) -> None:
    recipe = changed(tmp_path, pair={"max_gap_hours": 0.1})
    assert "0.1 h" in refused(croma, "plan", recipe, CROMA_CATALOG=stac)


def test_unknown_field_and_every_other_problem_at_once(croma: Run, tmp_path: Path) -> None:
    recipe = changed(tmp_path, chip_size=100, colour="red")
    said = refused(croma, "plan", recipe)
    assert "dataset.colour: is not a known field" in said
    assert "dataset.chip_size: a chip size is a multiple of 24 px" in said


def test_no_recipe_of_that_name(croma: Run) -> None:
    assert "no recipe of that name; there are" in refused(croma, "plan", "dmeo")


def test_site_without_credentials(croma: Run, s3_server: str) -> None:
    more = {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }
    assert "set AWS_ACCESS_KEY_ID" in refused(croma, "inspect", "s3://bucket/datasets/demo", **more)


def test_dataset_that_does_not_exist(croma: Run) -> None:
    assert "datasets/nothing: there is none; build it first" in refused(croma, "inspect", "nothing")
    assert "after @ comes a version number" in refused(croma, "inspect", "nothing@latest")


def test_wrong_site_lists_every_variable(croma: Run) -> None:
    said = refused(croma, "inspect", "d", CROMA_THREADS="0", CROMA_TRACKING="folder")
    assert "CROMA_THREADS" in said
    assert "CROMA_TRACKING" in said
