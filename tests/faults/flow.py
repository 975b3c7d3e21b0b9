"""The flow that builds the speck, as a process whose site is in the environment: `python -m tests.faults.flow`."""

import os
from pathlib import Path

from croma import logs
from flows.environment import prepare
from flows.site import Site
from tests.faults.speck import spec


def environment(home: Path, catalog: str, **more: str) -> dict[str, str]:
    """What such a process finds: a site in `home`, and nothing of the site of whoever tests."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("CROMA_", "PREFECT_", "AWS_"))}
    site = {"CROMA_HOME": str(home), "CROMA_STORAGE": str(home / "storage"), "CROMA_CATALOG": catalog}
    return {**clean, **site, **more}


def main() -> None:
    site = Site.load()
    prepare(site)
    logs.configure("croma", "flows")
    # Its settings are made before Prefect is imported.
    from flows.build_dataset import build_dataset

    build_dataset(spec(), site)


if __name__ == "__main__":
    main()
