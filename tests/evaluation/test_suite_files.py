from pathlib import Path

import pytest
from typer.testing import CliRunner

from croma.cli.commands import app
from croma.errors import InputError
from croma.evaluation.spec import EvalSpec, PresentClasses
from croma.evaluation.suite_files import read_suite, suite_names
from croma.recipes.recipe import load_recipe

KINDS = {"knn", "linear", "mlp", "kmeans", "sparse", "retrieval", "segmentation", "finetune", "extrapolation"}


def test_suites_that_come_along() -> None:
    assert suite_names() == ["paper", "quick"]
    paper = EvalSpec().with_suite("paper")
    assert {protocol.kind for protocol in paper.protocols} == KINDS
    assert paper.releases
    quick = EvalSpec().with_suite("quick")
    assert not quick.releases
    assert "champion" in quick.baselines


def test_a_suite_leaves_data_and_gate_to_the_recipe() -> None:
    recipe = load_recipe("demo").evaluate
    quick = recipe.with_suite("quick")
    for field in ("target", "splits", "image", "pooling", "gate", "licence", "bootstrap"):
        assert getattr(quick, field) == getattr(recipe, field)
    assert quick.fingerprint != recipe.fingerprint


def test_in_a_recipe_what_stands_beside_the_name_wins() -> None:
    spec = EvalSpec.parse({"suite": "quick", "chips": 7, "image": 96}, "recipe")
    assert (spec.chips, spec.image, spec.releases) == (7, 96, False)
    assert spec == EvalSpec.parse(spec.model_dump(mode="json"), "again")


def test_protocols_of_one_class_are_left_out_where_there_are_several() -> None:
    several = EvalSpec(target=PresentClasses()).with_suite("paper")
    assert {protocol.kind for protocol in several.protocols} == KINDS - {"kmeans"}


def test_a_suite_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("protocols: [{kind: knn, k: 3}]\nchips: 50\n")
    spec = EvalSpec().with_suite(str(path))
    assert ([protocol.kind for protocol in spec.protocols], spec.chips) == (["knn"], 50)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("protocols: [{kind: knn}]\nlicence: MIT\n", "licence belongs into a recipe"),
        ("chips: 5\n", "it has no `protocols`"),
        ("protocols: [\n", "not valid YAML"),
        ("- knn\n", "it has no `protocols`"),
    ],
)
def test_what_is_wrong_with_one_is_said(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_suite(str(path))


def test_the_command_refuses_a_wrong_suite_before_any_work() -> None:
    said = CliRunner().invoke(app, ["evaluate", "demo", "--weights", "nowhere", "--suite", "fast"])
    assert isinstance(said.exception, InputError)
    assert "suite fast" in str(said.exception)


def test_wrong_names_and_wrong_protocols(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are paper, quick"):
        EvalSpec().with_suite("fast")
    with pytest.raises(InputError, match="there are paper, quick"):
        EvalSpec.parse({"suite": "fast"}, "recipe")
    with pytest.raises(InputError, match="no such file"):
        read_suite(str(tmp_path / "none.yaml"))
    path = tmp_path / "mine.yaml"
    path.write_text("protocols: [{kind: knn, neighbours: 3}]\n")
    with pytest.raises(InputError, match=r"mine\.yaml: protocols\.0\.knn\.neighbours: is not a known field"):
        EvalSpec().with_suite(str(path))
