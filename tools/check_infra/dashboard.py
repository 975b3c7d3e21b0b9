"""Observability: Prometheus' own check of its files, and a dashboard whose every query asks for what is served."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tools.check_infra.missing import MissingProgramError, program

OURS = {
    *("ray_croma_step", "ray_croma_steps", "ray_croma_loss", "ray_croma_samples_per_second", "ray_croma_seconds_left"),
    *("ray_croma_waiting", "ray_croma_checkpoint_time"),
    *("croma_shards_total", "croma_chips_total", "croma_shard_bytes_total", "croma_refused_total"),
}
"""Made by croma/training/ray_metrics.py and flows/metrics.py; tests hold the two sides together."""
THEIRS = {
    *("ray_cluster_active_nodes", "ray_node_cpu_utilization", "ray_node_gpus_utilization", "ray_node_mem_used"),
    *("ray_node_mem_total", "ray_node_disk_free", "ray_node_disk_usage", "ray_object_store_memory", "up"),
    *("autoscaler_pending_nodes", "autoscaler_recently_failed_nodes"),
    *("prefect_events_observed_total", "prefect_logs_observed_total"),
}
"""Served by Ray 2.60 and Prefect 3.8, as seen; the GPU one by Ray's source."""
_FUNCTIONS = {"sum", "by", "rate", "changes", "time", "and", "avg_over_time", "label_values"}


def check(root: Path) -> list[str]:
    """Problems of infra/observability."""
    folder = root / "infra" / "observability"
    board = json.loads((folder / "grafana" / "croma.json").read_text())
    problems = list(_board(board)) + _promtool(folder)
    groups = yaml.safe_load((folder / "alerts.yaml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        problems += [f"alert {rule['alert']}: nobody serves {name}" for name in _unknown(rule["expr"])]
        document, _, heading = rule["annotations"]["remedy"].partition("#")
        if not _has_heading(root / document, heading):
            problems.append(f"alert {rule['alert']}: {document} has no heading #{heading}")
    return problems


def _board(board: dict[str, Any]) -> Iterator[str]:
    for key in ("title", "uid", "schemaVersion", "panels", "templating", "time"):
        if key not in board:
            yield f"croma.json: has no {key}"
    identities = [panel["id"] for panel in board["panels"]]
    if len(set(identities)) < len(identities):
        yield "croma.json: two panels have one id"
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place, title = panel["gridPos"], panel["title"]
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        if cells & taken or place["x"] + place["w"] > 24:
            yield f"croma.json: {title} lies over another panel or beyond the edge"
        taken |= cells
        if panel["type"] == "row":
            continue
        if not panel.get("description") or not panel.get("targets"):
            yield f"croma.json: {title} lacks a description or a query"
        for target in panel.get("targets", []):
            yield from (f"croma.json: {title}: nobody serves {name}" for name in _unknown(target["expr"]))


def _unknown(expression: str) -> list[str]:
    """Metrics in an expression that nobody serves."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", "", expression)
    names = set(re.findall(r"[a-zA-Z_][a-zA-Z0-9_]*", bare)) - _FUNCTIONS
    return sorted(names - OURS - THEIRS)


def _has_heading(document: Path, anchor: str) -> bool:
    if not document.is_file():
        return False
    headings = re.findall(r"^#+ (.+)$", document.read_text(), flags=re.MULTILINE)
    return anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _promtool(folder: Path) -> list[str]:
    try:
        promtool = program("promtool", "")
    except MissingProgramError:
        return []  # what is left is checked all the same
    checks = (["config", "--syntax-only", "prometheus.yaml"], ["rules", "alerts.yaml"])
    problems = []
    for words in checks:
        done = subprocess.run([promtool, "check", *words], cwd=folder, capture_output=True, text=True, check=False)
        problems += [f"{words[-1]}: {done.stderr.strip()}"] if done.returncode else []
    return problems
