"""Where the stack lies on this machine: folders, ports, secrets, and the environment that finds its servers."""

import hashlib
import json
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

HOST = "127.0.0.1"
PORTS = {
    "postgres": 7432,
    "s3-monitor": 7478,
    "s3": 7480,
    "stac": 7482,
    "prefect": 7420,
    "build-worker": 7421,
    "learn-worker": 7422,
    "mlflow": 7450,
    "ray-head": 7463,
    "ray-client": 7464,
    "ray-dashboard": 7465,
    "ray-agent": 7470,
    "ray-agent-grpc": 7472,
    "ray-metrics": 7474,
}
"""All below 10002, where Ray's worker ports begin; the last three count up by the node."""
STORAGE, ARTIFACTS, IMAGERY = "croma", "mlflow", "imagery"
"""Buckets."""
REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class StackSite:
    """A place for one stack; two with different homes and shifts run side by side."""

    home: Path
    """Data, logs and pid files; remove it when the stack is down and nothing is left."""
    shift: int = 0
    """Added to every port."""
    cpus: int = field(default_factory=lambda: os.cpu_count() or 2)
    """Logical CPUs of each of the two Ray nodes."""
    cache: Path = REPOSITORY / ".croma" / "cache"
    """What every stack of this checkout shares: installed programs, no data."""

    def port(self, name: str) -> int:
        """The port of a server."""
        return PORTS[name] + self.shift

    def address(self, name: str) -> str:
        """The address of a server that speaks HTTP."""
        return f"http://{HOST}:{self.port(name)}"

    @cached_property
    def runtime(self) -> Path:
        """A folder with a short path, for sockets: their paths may have 107 characters."""
        digest = hashlib.sha256(str(self.home.resolve()).encode()).hexdigest()[:8]
        folder = Path(tempfile.gettempdir()) / f"croma-{digest}"
        folder.mkdir(mode=0o755, exist_ok=True)
        return folder

    @cached_property
    def secrets(self) -> dict[str, str]:
        """A password for each server, made once for this home."""
        path = self.home / "secrets.json"
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            names = ("postgres", "s3-key", "s3-secret", "prefect", "mlflow", "mlflow-signing", "ray", "stac")
            made = {name: secrets.token_hex(20) for name in names}
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(made, file)
        found: dict[str, str] = json.loads(path.read_text())
        return found

    def s3_arguments(self) -> dict[str, str]:
        """How boto3 makes a client of this stack whatever the environment says."""
        return {
            "endpoint_url": self.address("s3"),
            "aws_access_key_id": self.secrets["s3-key"],
            "aws_secret_access_key": self.secrets["s3-secret"],
            "region_name": "us-east-1",
        }

    def s3_environment(self) -> dict[str, str]:
        """What every S3 client needs: boto3, s3fs, pyarrow, obstore, Delta, and GDAL in words of its own."""
        endpoint = f"{HOST}:{self.port('s3')}"
        return {
            "AWS_ENDPOINT_URL": f"http://{endpoint}",
            "AWS_ACCESS_KEY_ID": self.secrets["s3-key"],
            "AWS_SECRET_ACCESS_KEY": self.secrets["s3-secret"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            "AWS_ALLOW_HTTP": "true",
            "AWS_S3_ENDPOINT": endpoint,
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
        }

    def environment(self) -> dict[str, str]:
        """What a user, a worker or a test exports to work with this stack."""
        return {
            **self.s3_environment(),
            "CROMA_STORAGE": f"s3://{STORAGE}",
            "CROMA_CATALOG": self.address("stac"),
            "CROMA_TRACKING": self.address("mlflow"),
            "CROMA_RAY": self.address("ray-dashboard"),
            # From outside: who joins as a member hangs on one of the nodes, and is lost with it.
            "CROMA_BUILD_RAY": f"ray://{HOST}:{self.port('ray-client')}",
            # A shard at once on a node: both nodes have the CPUs of this machine.
            "CROMA_BUILD_CPUS": str(self.cpus),
            "CROMA_HOME": str(self.home / "work"),
            "MLFLOW_TRACKING_USERNAME": "admin",
            "MLFLOW_TRACKING_PASSWORD": self.secrets["mlflow"],
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PREFECT_API_URL": f"{self.address('prefect')}/api",
            "PREFECT_API_AUTH_STRING": f"admin:{self.secrets['prefect']}",
            "PREFECT_HOME": str(self.home / "prefect-home"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_CLI_PROMPT": "false",
            # The server answers so while its database is away; a run should outlive that.
            "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
            "PREFECT_CLIENT_MAX_RETRIES": "8",
            # What flows say stands on the page of their run.
            "PREFECT_LOGGING_EXTRA_LOGGERS": "croma,flows",
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.secrets["ray"],
            "RAY_USAGE_STATS_ENABLED": "0",
            "DO_NOT_TRACK": "1",
        }
