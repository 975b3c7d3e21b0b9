"""Settings of Prefect on one machine, made before Prefect is imported."""

import os

from flows.site import Site


def prepare(site: Site) -> None:
    """Make Prefect quiet and keep what it records in the site's home.

    Only gaps are filled: what the environment says stays, above all PREFECT_API_URL of a running server.
    """
    home = site.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    for name, value in {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        # What stops a flow is said by the command line in a sentence; Prefect keeps the traceback in its own log.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": "1",
    }.items():
        os.environ.setdefault(name, value)
