"""What `make check` says of infra/: nothing when it is good, and the mistake when there is one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.check_infra import __main__, compose, dashboard, dockerfiles, lock, manifests, ray_up, terraform, yaml_style
from tools.check_infra.missing import MissingProgramError

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what is checked, to break."""
    for name in ("docker", "infra"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=ignored)
    (tmp_path / "docs").mkdir()
    shutil.copy(REPOSITORY / "docs" / "operate.md", tmp_path / "docs")
    for name in ("prefect.yaml", "pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / name, tmp_path)
    return tmp_path


def run(check: Callable[[Path], list[str]], root: Path) -> list[str]:
    try:
        return check(root)
    except MissingProgramError as missing:
        pytest.skip(str(missing))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    "check",
    [compose, dashboard, dockerfiles, lock, manifests, ray_up, terraform, yaml_style],
    ids=lambda module: module.__name__,
)
def test_the_repository_is_good(check: object) -> None:
    assert run(check.check, REPOSITORY) == []  # type: ignore[attr-defined]


RAY = "infra/ray/base/cluster.yaml"
BREAKS = [
    # A word that KubeRay does not know, which Kubernetes would drop with a warning at most.
    (manifests, RAY, "enableInTreeAutoscaling", "enableInTreeAutoscalling", "enableInTreeAutoscalling"),
    (manifests, RAY, "mode: token", "mode: tokens", "tokens"),
    (manifests, RAY, "maxReplicas: 8", 'maxReplicas: "8"', "is not of type 'integer'"),
    (manifests, RAY, "sizeLimit: 3Gi", "sizeLimits: 3Gi", "sizeLimits"),
    (manifests, RAY, "runAsUser: 10001", 'runAsUser: "10001"', "is not of type 'integer'"),
    (manifests, RAY, "apiVersion: ray.io/v1", "apiVersion: ray.io/v2", "KubeRay has no RayCluster in ray.io/v2"),
    (manifests, "infra/ray/jobs/pretrain.yaml", "  labels:", "  label:", "'label' was unexpected"),
    (
        manifests,
        RAY,
        "limits: {memory: 4Gi, ephemeral-storage: 8Gi}",
        "limits: {}",
        "does not say which CPU and memory",
    ),
    (manifests, RAY, "runAsNonRoot: true", "runAsNonRoot: false", "may run as root"),
    (manifests, "infra/ray/jobs/pretrain.yaml", "entrypoint:", "entryPoint:", "entryPoint"),
    (manifests, "infra/prefect/base/server.yaml", "containerPort: 4200", "containerPorts: 4200", "containerPorts"),
    (manifests, "infra/prefect/base/workers.yaml", "croma-worker", "croma-walker", "there is no ServiceAccount"),
    (manifests, "infra/platform/base/kustomization.yaml", "site.yaml", "sites.yaml", "sites.yaml"),
    (compose, "infra/local/compose.yaml", "127.0.0.1:4200:4200", "4200:4200", "is not on loopback"),
    (compose, "infra/local/compose.yaml", "healthcheck:", "healthchecks:", "healthchecks"),
    (compose, "infra/local/compose.yaml", "${RAY_TOKEN:?}", "abc", "RAY_AUTH_TOKEN holds a secret"),
    (compose, "infra/local/compose.yaml", "docker/s3.Dockerfile", "docker/s4.Dockerfile", "there is no docker/s4"),
    (dockerfiles, "docker/train.Dockerfile", "USER 10001", "USER root", "must end as a user"),
    (dockerfiles, "docker/mlflow.Dockerfile", "WORKDIR /src", "RUN cd /src", "DL3003"),
    (ray_up, "infra/ray/up.yaml", "idle_timeout_minutes", "idle_timeout_minuets", "idle_timeout_minuets"),
    (terraform, "infra/terraform/storage.tf", "aws_s3_bucket.data.arn", "aws_s3_bucket.dada.arn", "aws_s3_bucket.dada"),
    (terraform, "infra/terraform/outputs.tf", "var.region", "var.regions", "var.regions is declared nowhere"),
    (terraform, "infra/terraform/network.tf", "{", "{{", "Unexpected token"),
    (yaml_style, "infra/ray/up.yaml", "max_workers: 16", "max_workers: 16\nmax_workers: 17", "duplication of key"),
    (dashboard, "infra/observability/alerts.yaml", "ray_croma_waiting", "ray_croma_wating", "nobody serves"),
    (lock, "constraints.txt", "affine==", "affine>=", "'affine>=3.0.1' fixes no version"),
    (lock, "infra/local/stack/stac-requirements.txt", "anyio==", "anyio @ https://", "fixes no version"),
    (lock, "pyproject.toml", "prefect>=3.8.8,<3.9", "prefect>=3.9", "prefect 3.8.8 is not >=3.9; run make lock"),
    (lock, "pyproject.toml", '"shapely>=2.0"', '"shapely>=2.0", "geopandas"', "geopandas is missing; run make lock"),
    (dashboard, "infra/observability/alerts.yaml", "#a-disk-is-full", "#a-disc-is-full", "has no heading"),
]


@pytest.mark.parametrize(("check", "path", "old", "new", "said"), BREAKS, ids=lambda value: str(value)[:40])
def test_a_mistake_is_named(tree: Path, check: object, path: str, old: str, new: str, said: str) -> None:
    replace(tree / path, old, new)
    problems = run(check.check, tree)  # type: ignore[attr-defined]
    assert any(said in problem for problem in problems), problems


def test_mistakes_fail_make_check(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["check_infra", "--root", str(tree)])
    replace(tree / "docker" / "build.Dockerfile", "USER 10001", "USER root")
    replace(tree / "infra" / "local" / "compose.yaml", "healthcheck:", "healthchecks:")
    replace(tree / RAY, "enableInTreeAutoscaling", "enableInTreeAutoscalling")
    replace(tree / "infra" / "terraform" / "outputs.tf", "var.region", "var.regions")
    replace(tree / "infra" / "observability" / "grafana" / "croma.json", "ray_croma_loss", "ray_croma_lost")
    assert __main__.main() == 1
    said = capsys.readouterr().out
    if "skipped" in said:
        pytest.skip(said)
    failed = {line.partition(":")[0] for line in said.splitlines() if not line.endswith(": good")}
    assert failed == {"images", "compose", "manifests", "terraform", "dashboard"}


def test_a_panel_over_another_is_named(tree: Path) -> None:
    path = tree / "infra" / "observability" / "grafana" / "croma.json"
    board = json.loads(path.read_text())
    board["panels"][2]["gridPos"] = board["panels"][1]["gridPos"]
    path.write_text(json.dumps(board))
    assert any("lies over another panel" in problem for problem in dashboard.check(tree))


def test_the_definitions_are_of_the_operator_that_the_runbook_installs() -> None:
    sources = [json.loads(path.read_text())["source"] for path in (REPOSITORY / manifests.CRDS).glob("*.json")]
    tags = {source.split("/blob/v")[1].partition("/")[0] for source in sources}
    assert len(sources) == 2
    assert len(tags) == 1
    assert f"--version {tags.pop()}" in (REPOSITORY / "docs" / "operate.md").read_text()
