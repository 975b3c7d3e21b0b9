"""The servers of PyPI on one machine: Prefect, MLflow, two Ray nodes, and the two workers that run flows."""

import os
import sys
from pathlib import Path

from infra.local.stack import postgres
from infra.local.stack.process import Process, listens
from infra.local.stack.site import ARTIFACTS, HOST, REPOSITORY, StackSite


def prefect(site: StackSite) -> Process:
    """Prefect's API and pages, with a password, on PostgreSQL."""
    return Process(
        name="prefect",
        command=(_program("prefect"), "server", "start", "--host", HOST, "--port", str(site.port("prefect"))),
        environment={
            "PREFECT_API_URL": "",
            "PREFECT_HOME": str(site.home.resolve() / "prefect-home"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_API_AUTH_STRING": f"admin:{site.secrets['prefect']}",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres.address(site, "prefect", "postgresql+asyncpg"),
            "PREFECT_SERVER_METRICS_ENABLED": "true",
            "PREFECT_SERVER_UI_API_URL": f"{site.address('prefect')}/api",
            "DO_NOT_TRACK": "1",
        },
        folder=site.home / "prefect",
        answers=lambda: listens(f"{site.address('prefect')}/api/health"),
    )


def mlflow(site: StackSite) -> Process:
    """MLflow's API and pages, with users, on PostgreSQL; it alone has the keys to the artifacts."""
    folder = site.home.resolve() / "mlflow"
    users = folder / "users.ini"
    return Process(
        name="mlflow",
        command=(
            *(_program("mlflow"), "server", "--host", HOST, "--port", str(site.port("mlflow")), "--workers", "1"),
            *("--app-name", "basic-auth", "--artifacts-destination", f"s3://{ARTIFACTS}"),
        ),
        environment={
            **site.s3_environment(),
            "MLFLOW_BACKEND_STORE_URI": postgres.address(site, "mlflow", "postgresql+psycopg2"),
            "MLFLOW_AUTH_CONFIG_PATH": str(users),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": site.secrets["mlflow-signing"],
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **_code(),
        },
        folder=folder,
        answers=lambda: listens(f"{site.address('mlflow')}/health"),
        before=lambda: _write_users(site, users),
    )


def _write_users(site: StackSite, path: Path) -> None:
    lines = {
        "default_permission": "EDIT",
        "database_uri": postgres.address(site, "mlflow_users", "postgresql+psycopg2"),
        "admin_username": "admin",
        "admin_password": site.secrets["mlflow"],
    }
    path.touch(0o600)
    path.write_text("[mlflow]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items()))


def ray(site: StackSite) -> list[Process]:
    """Two Ray nodes of one cluster; a token guards them, for Ray listens on every address of the machine."""
    head = (
        "--head",
        "--port",
        str(site.port("ray-head")),
        "--dashboard-host",
        HOST,
        "--temp-dir",
        str(site.runtime / "ray"),
    )
    dashboard = (
        "--dashboard-port",
        str(site.port("ray-dashboard")),
        "--ray-client-server-port",
        str(site.port("ray-client")),
    )
    member = ("--address", f"{HOST}:{site.port('ray-head')}")
    return [
        _ray_node(site, "ray-head", (*head, *dashboard), 0),
        _ray_node(site, "ray-worker", member, 1),
    ]


def _ray_node(site: StackSite, name: str, words: tuple[str, ...], number: int) -> Process:
    own = {
        "dashboard-agent-listen": "ray-agent",
        "dashboard-agent-grpc": "ray-agent-grpc",
        "metrics-export": "ray-metrics",
    }
    ports = [f"--{option}-port={site.port(name) + number}" for option, name in own.items()]
    health = f"http://{HOST}:{site.port('ray-agent') + number}/api/local_raylet_healthz"
    common = ("--block", "--node-ip-address", HOST, "--num-cpus", str(site.cpus), "--object-store-memory", "200000000")
    return Process(
        name=name,
        command=(_program("ray"), "start", *common, *words, *ports),
        environment={**site.environment(), **_code()},
        folder=site.home / name,
        answers=lambda: listens(health),
    )


def workers(site: StackSite) -> list[Process]:
    """A Prefect worker for each pool; its flow runs are processes on this machine."""
    return [_worker(site, "build-worker", "croma-build"), _worker(site, "learn-worker", "croma-learn")]


def _worker(site: StackSite, name: str, pool: str) -> Process:
    port = site.port(name)
    return Process(
        name=name,
        command=(
            # It turns SIGTERM into SIGINT, which what a script starts in the background would ignore.
            *("env", "--default-signal=INT"),
            *(_program("prefect"), "worker", "start", "--pool", pool, "--type", "process"),
            *("--name", name, "--limit", "2", "--with-healthcheck"),
        ),
        environment={
            **site.environment(),
            "PREFECT_WORKER_WEBSERVER_HOST": HOST,
            "PREFECT_WORKER_WEBSERVER_PORT": str(port),
            **_code(),
        },
        folder=site.home / name,
        answers=lambda: listens(f"http://{HOST}:{port}/health"),
    )


def _code() -> dict[str, str]:
    """Lets processes find this repository and the programs of this environment, as in an image that has both."""
    paths = {"PYTHONPATH": str(REPOSITORY), "PATH": str(Path(sys.executable).parent)}
    return {name: os.pathsep.join([path, os.environ.get(name, "")]).rstrip(os.pathsep) for name, path in paths.items()}


def _program(name: str) -> str:
    """A program of this environment, whether or not the environment is activated."""
    return str(Path(sys.executable).with_name(name))
