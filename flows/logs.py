"""What flows tell, and the library below them."""

import logging


def speak() -> None:
    """Let it out from INFO on: on a worker nobody else does.

    It reaches the console, and with PREFECT_LOGGING_EXTRA_LOGGERS=croma,flows the run's page too.
    """
    for name in ("croma", "flows"):
        logging.getLogger(name).setLevel(logging.INFO)
