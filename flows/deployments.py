"""Registers the deployments of prefect.yaml, their pools and their failure notice with a Prefect server."""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import yaml
from prefect.automations import AutomationCore
from prefect.blocks.notifications import SlackWebhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron, Schedule
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker

from croma.errors import InputError
from croma.provenance import code_version
from croma.recipes.recipe import load_recipe

FAILURES = "croma-failures"
"""Name of the automation that tells of failed and crashed runs."""


Overlap = Literal["refuse", "queue"]
STRATEGIES: dict[Overlap, ConcurrencyLimitStrategy] = {
    "refuse": ConcurrencyLimitStrategy.CANCEL_NEW,
    "queue": ConcurrencyLimitStrategy.ENQUEUE,
}
"""What Prefect calls it."""


def plan(file: Path, recipe: str, overlap: Overlap | None = None) -> list[RunnerDeployment]:
    """The deployments that `file` declares, for a recipe.

    Args:
        file: in the words of prefect.yaml.
        recipe: name or file.
        overlap: what becomes of a scheduled run that begins while the one before it still goes on; by default what
            the file says (`collision_strategy`).

    Raises:
        InputError: the file is missing, or declares a flow that there is not.
    """
    if not file.is_file():
        raise InputError(f"{file}: there is no such file; run croma deploy in the repository, or name it with --file")
    known = load_recipe(recipe)
    # The whole recipe travels: a worker elsewhere has no file of ours.
    values = {"{recipe}": known.model_dump(mode="json"), "{dataset}": known.dataset.name}
    return [_deployment(declared, values, overlap) for declared in yaml.safe_load(file.read_text())["deployments"]]


def describe(planned: Iterable[RunnerDeployment]) -> list[tuple[str, ...]]:
    """A row for each deployment: name, pool, schedule, runs at once and what becomes of more, parameters."""
    return [
        (
            deployment.full_name,
            str(deployment.work_pool_name),
            ", ".join(str(getattr(s.schedule, "cron", s.schedule)) for s in deployment.schedules or []) or "-",
            f"{deployment.concurrency_limit}, then {_overlap(deployment)}",
            ", ".join(f"{key}={_brief(value)}" for key, value in (deployment.parameters or {}).items()),
        )
        for deployment in planned
    ]


def _overlap(deployment: RunnerDeployment) -> str:
    options = deployment.concurrency_options
    return next(
        (name for name, strategy in STRATEGIES.items() if options and strategy == options.collision_strategy), "queue"
    )


def _brief(value: Any) -> Any:
    """A recipe by its name, anything else as it is."""
    return value["name"] if isinstance(value, dict) else value


def _deployment(declared: Mapping[str, Any], values: Mapping[str, Any], overlap: Overlap | None) -> RunnerDeployment:
    module, _, function = declared["entrypoint"].rpartition(".")
    try:
        flow = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(f"deployment {declared['entrypoint']}: there is no such flow ({error})") from None
    limit = ConcurrencyLimitConfig(**declared["concurrency_limit"])
    if overlap and declared.get("schedules"):
        limit = limit.model_copy(update={"collision_strategy": STRATEGIES[overlap]})
    deployment: RunnerDeployment = flow.to_deployment(
        name=declared["name"],
        description=declared["description"],
        tags=declared["tags"],
        parameters={key: values.get(value, value) for key, value in declared.get("parameters", {}).items()},
        schedules=[_schedule(schedule) for schedule in declared.get("schedules", [])],
        concurrency_limit=limit,
        work_pool_name=declared["work_pool"]["name"],
        job_variables=declared["work_pool"].get("job_variables", {}),
        version=code_version(),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return deployment


def _schedule(declared: Mapping[str, str]) -> Schedule:
    return Cron(declared["cron"], timezone=declared["timezone"])


def register(deployments: list[RunnerDeployment], kubernetes: Path | None = None) -> Iterator[str]:
    """Put pools and deployments into the server of PREFECT_API_URL; what was there is brought up to date.

    Args:
        deployments: what `plan` has made.
        kubernetes: folder with `job-template.yaml` and `pools.yaml`; runs become Kubernetes Jobs. None: processes.

    Yields:
        The name of each thing registered.
    """
    with get_client(sync_client=True) as client:
        for name in sorted({str(deployment.work_pool_name) for deployment in deployments}):
            _put_pool(client, name, _job_template(kubernetes, name) if kubernetes else None)
            yield f"pool {name}"
    for deployment in deployments:
        deployment.apply()
        yield f"deployment {deployment.full_name}"


def pool_templates(folder: Path) -> dict[str, dict[str, Any]]:
    """The base job template of every pool that `folder` describes."""
    return {name: _job_template(folder, name) for name in yaml.safe_load((folder / "pools.yaml").read_text())}


def notify(address: str) -> str:
    """Tell of failed and crashed runs at a webhook that takes Slack's messages; the name of the automation.

    The address is a secret: it goes into a block of the server and nowhere else.
    """
    block = SlackWebhook(url=address)
    identity = block.save(FAILURES, overwrite=True)
    action = SendNotification(
        block_document_id=identity,
        subject="{{ flow.name }}: {{ flow_run.state.name }}",
        body="{{ flow_run.name }} of {{ deployment.name }}: {{ flow_run.state.message }}\n{{ flow_run|ui_url }}",
    )
    trigger = EventTrigger(
        expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
    )
    wanted = AutomationCore(name=FAILURES, description="Failed and crashed runs", trigger=trigger, actions=[action])
    with get_client(sync_client=True) as client:
        for known in client.read_automations_by_name(FAILURES):
            client.delete_automation(known.id)
        client.create_automation(wanted)
    return FAILURES


def _put_pool(client: SyncPrefectClient, name: str, template: dict[str, Any] | None) -> None:
    wanted = template or ProcessWorker.get_default_base_job_template()
    kind = "kubernetes" if template else ProcessWorker.type
    try:
        known = client.read_work_pool(name)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=wanted))
        return
    if known.type != kind:
        raise InputError(f"pool {name} is of type {known.type} on this server, not {kind}; delete it there first")
    client.update_work_pool(name, WorkPoolUpdate(base_job_template=wanted))


def _job_template(folder: Path, pool: str) -> dict[str, Any]:
    template: dict[str, Any] = yaml.safe_load((folder / "job-template.yaml").read_text())
    pools = yaml.safe_load((folder / "pools.yaml").read_text())
    if pool not in pools:
        raise InputError(f"{folder / 'pools.yaml'}: says nothing of pool {pool}")
    for variable, value in pools[pool].items():
        template["variables"]["properties"][variable]["default"] = value
    return template
