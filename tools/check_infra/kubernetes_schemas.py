"""Kubernetes' own schemas, strict: from the package kubernetes-validate, read once a kind."""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

VERSION = "v1.34"
"""Of the Kubernetes API."""


def problems(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with a manifest of one of Kubernetes' kinds."""
    validator = _validator(str(manifest.get("kind")), str(manifest.get("apiVersion")))
    if validator is None:
        return [f"Kubernetes {VERSION} has no {manifest.get('kind')} in {manifest.get('apiVersion')}"]
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(manifest)]


@cache
def _validator(kind: str, api: str) -> Draft202012Validator | None:
    # networking.k8s.io/v1 is networking-v1 there.
    group, _, version = api.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], version) if part) + ".json"
    path = _folder().joinpath(name)
    if not path.is_file():
        return None
    schema: Resource[Any] = Resource.from_contents(json.loads(path.read_text()))
    return Draft202012Validator(schema.contents, registry=schema @ _definitions())


@cache
def _definitions() -> "Registry[Any]":
    definitions: Resource[Any] = Resource.from_contents(json.loads(_folder().joinpath("_definitions.json").read_text()))
    return definitions @ Registry()


@cache
def _folder() -> Any:
    schemas = files("kubernetes_validate").joinpath("kubernetes-json-schema")
    fitting = [entry for entry in schemas.iterdir() if re.fullmatch(rf"{VERSION}[.]\d+-local-strict", entry.name)]
    return fitting[0]
