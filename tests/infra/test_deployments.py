"""Deployments as they would be registered, and the Jobs that Kubernetes would get."""

from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.templating import apply_values
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from croma.errors import InputError
from croma.recipes.recipe import load_recipe
from flows import deployments
from tools.check_infra import kubernetes_schemas
from tools.check_infra.dashboard import OURS

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
FILE = REPOSITORY / "prefect.yaml"


def test_every_deployment_is_planned_with_its_recipe() -> None:
    planned = {deployment.full_name: deployment for deployment in deployments.plan(FILE, "demo")}
    assert set(planned) == {
        *("build-dataset/on-demand", "pretrain/on-demand", "evaluate/on-demand", "whole-way/on-demand"),
        "compare/on-demand",
        *("nightly-increment/nightly", "check-dataset/weekly", "evaluate-new/hourly", "nightly-review/nightly"),
    }
    nightly = planned["nightly-increment/nightly"]
    assert nightly.parameters == {"recipe": load_recipe("demo").model_dump(mode="json"), "days": 30}
    assert nightly.entrypoint == "flows.scheduled.increment"  # images have the package, not this folder
    assert [schedule.schedule.cron for schedule in nightly.schedules] == ["0 2 * * *"]
    assert planned["check-dataset/weekly"].parameters == {"dataset": "demo"}


def test_parameters_are_shown_as_forms() -> None:
    planned = {deployment.full_name: deployment for deployment in deployments.plan(FILE, "demo")}
    schema = planned["build-dataset/on-demand"]._parameter_openapi_schema.model_dump()
    assert {"spec", "site"} == set(schema["properties"])
    assert "chip_size" in schema["definitions"]["BuildSpec"]["properties"]


@pytest.mark.parametrize(("overlap", "scheduled"), [(None, "refuse"), ("refuse", "refuse"), ("queue", "queue")])
def test_overlapping_runs_are_refused_or_queued_as_the_user_says(
    overlap: deployments.Overlap | None, scheduled: str
) -> None:
    shown = {row[0]: row[3] for row in deployments.describe(deployments.plan(FILE, "demo", overlap))}
    assert shown["nightly-increment/nightly"] == f"1, then {scheduled}"
    assert shown["build-dataset/on-demand"] == "2, then queue", "what a person asks for waits for its turn"


def test_a_flow_that_there_is_not(tmp_path: Path) -> None:
    declared = tmp_path / "prefect.yaml"
    declared.write_text(FILE.read_text().replace("flows.pretrain.pretrain", "flows.pretrain.train"))
    with pytest.raises(InputError, match=r"flows\.pretrain\.train: there is no such flow"):
        deployments.plan(declared, "demo")
    with pytest.raises(InputError, match="there is no such file"):
        deployments.plan(tmp_path / "other.yaml", "demo")


def _job(pool: str, values: dict[str, Any]) -> dict[str, Any]:
    """The Job of a flow run, by Prefect's own templating and validation."""
    template = deployments.pool_templates(REPOSITORY / "infra" / "prefect")[pool]
    fields = template["variables"]["properties"].items()
    defaults = {name: field["default"] for name, field in fields if "default" in field}
    filled = apply_values(template["job_configuration"], {**defaults, **values})
    manifest: dict[str, Any] = KubernetesWorkerJobConfiguration.model_validate(filled).job_manifest
    return manifest


@pytest.mark.parametrize(
    ("pool", "image"), [("croma-build", "croma-build:local"), ("croma-learn", "croma-train:local")]
)
def test_a_flow_run_is_a_valid_job(pool: str, image: str) -> None:
    manifest = _job(pool, {"memory": "24Gi", "node_selector": {"croma/pool": "cpu"}})
    pod = manifest["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["image"] == image
    assert pod["serviceAccountName"] == pool
    assert container["resources"]["limits"]["memory"] == "24Gi"
    assert manifest["spec"]["template"]["metadata"]["labels"]["croma/role"] == "flow"  # the network policies know it so
    for dropped in ("completions", "parallelism"):
        del pod[dropped]
    # What Prefect fills in when it submits:
    manifest["metadata"] = {"generateName": "croma-", "namespace": "croma"}
    container.update(args=["prefect", "flow-run", "execute"], env=[])
    assert kubernetes_schemas.problems(manifest) == []


def test_the_dashboard_asks_for_what_builds_and_trainings_serve() -> None:
    from prometheus_client import generate_latest

    from flows import metrics  # noqa: F401 - registers what a build counts

    served = generate_latest().decode()
    ours = {name for name in OURS if not name.startswith("ray_")}
    assert ours <= {line.split()[2] for line in served.splitlines() if line.startswith("# HELP croma")} | {
        f"{line.split()[2]}_total" for line in served.splitlines() if line.startswith("# HELP croma")
    }
    source = (REPOSITORY / "croma" / "training" / "ray_metrics.py").read_text()
    assert all(f'"{name.removeprefix("ray_croma_")}":' in source for name in OURS if name.startswith("ray_croma_"))
