"""The flow that builds the speck, as a user's process runs it, with a token service on loopback.

`python -m tests.faults.signed_build DOMAIN FOLDER-OF-LOGS`; everything else is in the environment.
"""

import logging
import sys
from pathlib import Path

from croma.catalog import signing
from croma.cli.main import configure_logging
from flows.environment import prepare
from flows.site import Site
from tests.faults.speck import spec


def main(domain: str, folder: Path) -> None:
    """Build with everything that can be logged being logged."""
    signer = signing.Signer(domain=domain, folder=folder / "shared", pause=0.01)
    signing.default_signer = lambda: signer  # type: ignore[assignment]
    site = Site.load()
    prepare(site)
    configure_logging()
    from flows.build_dataset import build_dataset

    everything = logging.FileHandler(folder / "everything.log")
    for name in ("", "croma", "flows", "prefect", "prefect.flow_runs", "prefect.task_runs", "urllib3", "botocore"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger().addHandler(everything)
    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addHandler(everything)
    build_dataset(spec(labels={}), site)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
