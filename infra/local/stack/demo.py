"""The main job on the stack, as a user of a cluster runs it: deployments registered, a run asked for over HTTP."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import prefect.settings
from prefect.client.orchestration import SyncPrefectClient, get_client

from croma.recipes.recipe import load_recipe
from croma.shards.dataset import open_dataset
from croma.shards.ref import DatasetRef
from infra.local.stack.process import StackError, run
from infra.local.stack.site import STORAGE, StackSite

DEPLOYMENT = "whole-way/on-demand"


def register(site: StackSite, recipe: str) -> str:
    """Register all deployments for a recipe, as `croma deploy` does; what it said."""
    return run([sys.executable, "-m", "croma.cli.main", "deploy", recipe], site.environment())


def ask_for_run(site: StackSite, recipe: str) -> UUID:
    """Ask the server for a run of the whole way; its id. Workers take it from there."""
    with client_of(site) as client:
        deployment = client.read_deployment_by_name(DEPLOYMENT)
        parameters = {"recipe": load_recipe(recipe).model_dump(mode="json")}
        return UUID(str(client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id))


def states(site: StackSite) -> dict[str, str]:
    """The state of the newest run of each flow."""
    with client_of(site) as client:
        flows = {flow.id: flow.name for flow in client.read_flows()}
        newest = sorted(client.read_flow_runs(), key=lambda run: run.created.timestamp() if run.created else 0.0)
        return {flows[run.flow_id]: run.state_name or "" for run in newest}


def wait_for(site: StackSite, number: UUID, seconds: float, watch: Callable[[dict[str, str]], None]) -> str:
    """Wait for the end of a run and tell `watch` of the states of all flows; the run's last state.

    Raises:
        StackError: it did not end in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with client_of(site) as client:
            state = client.read_flow_run(number).state
        watch(states(site))
        if state is not None and state.is_final():
            return state.name or ""
        time.sleep(2)
    raise StackError(f"the run {number} did not end within {seconds:.0f} s; flows stand at {json.dumps(states(site))}")


def dataset_hashes(site: StackSite, name: str) -> dict[str, str]:
    """The sha256 of every shard of a dataset in the stack's storage: what two runs must agree on."""
    os.environ.update(site.environment())
    dataset = open_dataset(DatasetRef.of(f"s3://{STORAGE}/datasets/{name}"))
    return {card.id: card.sha256 for card in dataset.cards()}


def logs(site: StackSite, name: str) -> str:
    """The end of a server's log."""
    log = site.home / f"{name}.log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-40:]) if log.exists() else ""


@contextmanager
def client_of(site: StackSite) -> Iterator[SyncPrefectClient]:
    """A client of the stack's server, whatever the environment said when Prefect was imported."""
    environment = site.environment()
    names = (
        "PREFECT_API_URL",
        "PREFECT_API_AUTH_STRING",
        "PREFECT_CLIENT_RETRY_EXTRA_CODES",
        "PREFECT_CLIENT_MAX_RETRIES",
    )
    settings = {getattr(prefect.settings, name): environment[name] for name in names}
    with prefect.settings.temporary_settings(settings), get_client(sync_client=True) as client:
        yield client
