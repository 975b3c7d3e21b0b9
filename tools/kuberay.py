"""Take KubeRay's definitions of our kinds into infra/ray/crds: `python tools/kuberay.py <clone of KubeRay> <tag>`."""

import json
import subprocess
import sys
from pathlib import Path

import yaml

TARGET = Path(__file__).parents[1] / "infra" / "ray" / "crds"
FOLDER = "helm-chart/kuberay-operator/crds"
"""Of what `helm install` puts into a cluster."""


def main(clone: str, tag: str) -> None:
    """Write the schema of version v1 of each kind, and KubeRay's licence, as they are at a tag."""
    commit = _git(clone, "rev-parse", f"{tag}^{{commit}}").strip()
    (TARGET / "LICENSE").write_text(_git(clone, "show", f"{tag}:LICENSE"))
    for kind in ("rayclusters", "rayjobs"):
        path = f"{FOLDER}/ray.io_{kind}.yaml"
        definition = yaml.safe_load(_git(clone, "show", f"{tag}:{path}"))["spec"]
        version = next(version for version in definition["versions"] if version["name"] == "v1")
        origin = {
            "apiVersion": f"{definition['group']}/{version['name']}",
            "kind": definition["names"]["kind"],
            "source": f"https://github.com/ray-project/kuberay/blob/{tag}/{path}",
            "commit": commit,
            "schema": version["schema"]["openAPIV3Schema"],
        }
        # One line for each of them: with white space the schema of a pod, which is in it often, fills 25,000 lines.
        lines = [f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in origin.items()]
        (TARGET / f"{kind}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _git(clone: str, *words: str) -> str:
    return subprocess.run(["git", "-C", clone, *words], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
