"""How this process shows itself to a Ray cluster: RAY_AUTH_MODE and RAY_AUTH_TOKEN as they are now.

Ray reads the mode once, when it is imported, and the token once, when it is first wanted; what a notebook, a test or a
flow sets later would go unseen, and the cluster would refuse it. Ray has no public word for reading them again.
"""

import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray._raylet import (  # type: ignore[attr-defined]  # its stub leaves these out
    AuthenticationMode,
    AuthenticationTokenLoader,
    Config,
    get_authentication_mode,
)

from croma.errors import InputError


def read_environment() -> None:
    """Let Ray read its mode and token again; a process that is in a cluster already keeps those of the cluster."""
    if ray.is_initialized():
        return
    wanted = os.environ.get("RAY_AUTH_MODE", "").lower() == "token"
    if wanted != (get_authentication_mode() == AuthenticationMode.TOKEN):
        Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def refused(address: str) -> InputError:
    """What to say where a cluster does not know us."""
    return InputError(f"Ray cluster {address}: refused us; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN")
