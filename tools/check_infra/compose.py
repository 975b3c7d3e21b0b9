"""The compose file: the official schema, and rules of ours about ports, secrets and files."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

_SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|SIGNING_KEY|ACCESS_KEY|AUTH_STRING|CONNECTION_URL|STORE_URI|USERS_URI")


def check(root: Path) -> list[str]:
    """Problems of infra/local/compose.yaml."""
    path = root / "infra" / "local" / "compose.yaml"
    stack = yaml.safe_load(path.read_text())
    schema = json.loads(files("check_jsonschema.builtin_schemas").joinpath("vendor/compose-spec.json").read_text())
    problems = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(stack)
    ]
    for name, service in stack.get("services", {}).items():
        problems += [f"services.{name}: {problem}" for problem in _own(service, stack["services"], path.parent)]
    return problems


def _own(service: dict[str, Any], services: dict[str, Any], folder: Path) -> list[str]:
    problems = [
        f"port {port} is not on loopback" for port in service.get("ports", []) if not port.startswith("127.0.0.1:")
    ]
    for name, value in (service.get("environment") or {}).items():
        if _SECRET.search(name) and "${" not in str(value) and not str(value).startswith("/"):
            problems.append(f"{name} holds a secret; take it from the environment")
    problems += [
        f"depends on {name}, which there is not" for name in service.get("depends_on", {}) if name not in services
    ]
    build = service.get("build")
    if build and not (folder / build["context"] / build["dockerfile"]).is_file():
        problems.append(f"there is no {build['dockerfile']}")
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        if source.startswith(".") and not (folder / source).exists():
            problems.append(f"there is no {source} to mount")
    if "build" not in service and not re.search(r":[\w.-]*\d", service.get("image", "")):
        problems.append(f"image {service.get('image')} has no version")
    return problems
