"""The cluster file of `ray up`, by Ray's own validation."""

import logging
from pathlib import Path

import yaml
from jsonschema import ValidationError


def check(root: Path) -> list[str]:
    """Problems of infra/ray/up.yaml."""
    # Ray takes two seconds to import.
    from ray.autoscaler._private import util

    logging.getLogger("ray.autoscaler").setLevel(logging.WARNING)
    cluster = yaml.safe_load((root / "infra" / "ray" / "up.yaml").read_text())
    try:
        util.validate_config(util.prepare_config(cluster))
    except (ValidationError, ValueError, KeyError) as error:
        return [f"up.yaml: {getattr(error, 'message', error)}"]
    return []
