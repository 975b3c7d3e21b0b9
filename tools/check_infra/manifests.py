"""Kubernetes manifests: rendered by kustomize, then checked against the schemas of Kubernetes and of KubeRay."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from tools.check_infra import kubernetes_schemas
from tools.check_infra.missing import program

OVERLAYS = tuple(f"infra/platform/overlays/{name}" for name in ("small", "aws", "aws-fill"))
JOBS = "infra/ray/jobs"
CRDS = "infra/ray/crds"
Manifest = dict[str, Any]
Schemas = dict[tuple[str, str], Any]
"""By the version of an API and a kind of it."""


def check(root: Path) -> list[str]:
    """Problems of every overlay and every job."""
    schemas = _kuberay(root / CRDS)
    problems = []
    for overlay in OVERLAYS:
        rendered, failure = _render(root / overlay)
        manifests = list(rendered)
        problems += [f"{overlay}: {failure}"] if failure else []
        problems += [f"{overlay}: {problem}" for problem in _check_all(manifests, schemas)]
    for path in sorted((root / JOBS).glob("*.yaml")):
        manifests = [manifest for manifest in yaml.safe_load_all(path.read_text()) if manifest]
        problems += [f"{path.name}: {problem}" for manifest in manifests for problem in _check_one(manifest, schemas)]
    return problems


def _render(folder: Path) -> tuple[list[Manifest], str]:
    kubectl = program("kubectl", "run tools/system-packages.sh, or install kubernetes-client")
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest], done.stderr.strip()


def _check_all(manifests: list[Manifest], schemas: Schemas) -> list[str]:
    problems = [problem for manifest in manifests for problem in _check_one(manifest, schemas)]
    return problems + _dangling(manifests)


def _check_one(manifest: Manifest, schemas: Schemas) -> list[str]:
    name = f"{manifest.get('kind')}/{manifest.get('metadata', {}).get('name', '(generated)')}"
    if str(manifest.get("apiVersion")).startswith("ray.io/"):
        schema = schemas.get((manifest["apiVersion"], manifest["kind"]))
        if schema is None:
            return [f"{name}: KubeRay has no {manifest['kind']} in {manifest['apiVersion']}"]
        errors = Draft202012Validator(schema).iter_errors(manifest)
        problems = [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]
        # A definition says nothing of metadata: Kubernetes checks those of all kinds alike.
        named = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": manifest["metadata"]}
        problems += kubernetes_schemas.problems(named)
    else:
        problems = kubernetes_schemas.problems(manifest)
    problems += [problem for pod in _pods(manifest) for problem in _careless(pod)]
    return [f"{name}: {problem}" for problem in problems]


def _templates(manifest: Manifest) -> list[Manifest]:
    spec = manifest["spec"].get("rayClusterSpec", manifest["spec"])
    groups = [spec.get("headGroupSpec", {}), *spec.get("workerGroupSpecs", [])]
    return [group.get("template", {}) for group in groups]


def _pods(manifest: Manifest) -> Iterator[Manifest]:
    """Specs of the pods that a manifest makes."""
    if str(manifest.get("apiVersion")).startswith("ray.io/"):
        yield from (template.get("spec", {}) for template in _templates(manifest))
    elif manifest.get("kind") in ("Deployment", "Job", "StatefulSet"):
        yield manifest["spec"]["template"]["spec"]


def _careless(pod: Manifest) -> Iterator[str]:
    """What every pod of ours promises, beyond what the schemas ask."""
    if not pod.get("securityContext", {}).get("runAsNonRoot"):
        yield "may run as root"
    for container in [*pod.get("initContainers", []), *pod.get("containers", [])]:
        name, resources = container["name"], container.get("resources", {})
        if "memory" not in resources.get("limits", {}) or {"cpu", "memory"} - set(resources.get("requests", {})):
            yield f"{name} does not say which CPU and memory it needs"
        if container.get("securityContext", {}).get("allowPrivilegeEscalation") is not False:
            yield f"{name} may gain privileges"
        for variable in container.get("env", []):
            secret = any(word in variable["name"] for word in ("PASSWORD", "TOKEN", "ACCESS_KEY", "AUTH_STRING"))
            if secret and "value" in variable and "_SECRET_" not in variable["name"]:
                yield f"{name} holds {variable['name']} in plain words"


def _dangling(manifests: list[Manifest]) -> list[str]:
    """Accounts and maps that pods name and no manifest makes; secrets are made by hand or by the platform."""
    there = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests}
    problems = []
    for manifest in manifests:
        for pod in _pods(manifest):
            wanted = {("ServiceAccount", pod["serviceAccountName"])} if "serviceAccountName" in pod else set()
            for container in pod["containers"]:
                sources = [source.get("configMapRef") for source in container.get("envFrom", [])]
                sources += [v.get("valueFrom", {}).get("configMapKeyRef") for v in container.get("env", [])]
                wanted |= {("ConfigMap", source["name"]) for source in sources if source}
            name = f"{manifest['kind']}/{manifest['metadata']['name']}"
            problems += [f"{name}: there is no {kind} {missing}" for kind, missing in sorted(wanted - there)]
    return problems


def _kuberay(folder: Path) -> Schemas:
    """The schema of each kind of ours as KubeRay defines it, closed."""
    definitions = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return {(found["apiVersion"], found["kind"]): _closed(found["schema"]) for found in definitions}


def _closed(schema: Any) -> Any:
    """A schema that refuses what it does not name, as a server does that is asked for strict validation of fields."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(part) for key, part in schema.items()}
    open_ended = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not open_ended:
        closed["additionalProperties"] = False
    return closed
