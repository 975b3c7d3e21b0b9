"""Flows of Prefect: thin, so that everything they do can be done without it."""

import logging

# On a worker nobody else says it: what a flow tells from INFO on reaches the console, and with
# PREFECT_LOGGING_EXTRA_LOGGERS=croma,flows the run's page too.
for _name in ("croma", "flows"):
    logging.getLogger(_name).setLevel(logging.INFO)
