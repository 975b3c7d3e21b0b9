"""Where things are: catalog, storage, tracking, cluster. Read from the environment (`CROMA_…`) or a `.env` file.

A site never says what to build or learn; a recipe never says where. Credentials are not part of it: storage and servers
read them from their own variables (AWS_…, MLFLOW_TRACKING_USERNAME, RAY_AUTH_TOKEN, …).
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from croma import storage
from croma.building.prices import Prices
from croma.document import problems
from croma.errors import InputError

if TYPE_CHECKING:
    from croma.tracking.tracker import Tracker


class Site(BaseSettings):
    """The addresses a run works with."""

    model_config = SettingsConfigDict(env_prefix="CROMA_", env_file=".env", frozen=True, extra="ignore")

    catalog: str = "planetary-computer"
    """Name of a known catalog (planetary-computer, earth-search, cdse) or the address of any STAC API."""
    storage: str = ".croma/storage"
    """Root of datasets and runs: a local folder or `s3://bucket/prefix`."""
    tracking: str = ""
    """Address of an MLflow server; empty: a SQLite file in `home`."""
    artifacts: str = ""
    """Where new MLflow experiments keep files; empty: the server decides, or a folder in `home` without a server."""
    ray: str = ""
    """A running Ray cluster: `http://host:8265` submits jobs to it, `auto` joins the one this machine is a node of;
    empty: one on this machine for the time of the job."""
    home: Path = Path(".croma")
    """Local folder for what servers on this machine keep: Prefect, MLflow, logs."""
    threads: int = Field(2, ge=1)
    """Shards filled at once on this machine."""
    build_ray: str = ""
    """A running Ray cluster whose nodes fill shards: `ray://host:10001`, or `auto` on one of its nodes; empty: threads
    of this machine. Its nodes have what building needs, which those that train have not."""
    build_cpus: float = Field(1, gt=0)
    """CPUs of a node that filling a shard takes: `build_ray` fills so many at once as have room."""
    build_memory_gb: float = Field(1.5, gt=0)
    """Memory of a node that filling a shard takes, GB."""
    prices: Prices = Field(default_factory=Prices)
    """What reading and storing costs, as JSON: for the estimate of `croma plan`."""

    @field_validator("tracking")
    @classmethod
    def _known_tracking(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://", "sqlite:///", "postgresql")):
            raise ValueError("expected http(s)://…, sqlite:///… or postgresql…; MLflow keeps no plain folders any more")
        return value

    @field_validator("build_ray")
    @classmethod
    def _joinable(cls, value: str) -> str:
        if value.startswith(("http://", "https://")):
            raise ValueError("a build submits no job, it joins; expected ray://host:10001, host:6379 or auto")
        return value

    @classmethod
    def load(cls, **settings: object) -> Self:
        """The site of the environment, with `settings` over it.

        Raises:
            InputError: lists every wrong variable at once.
        """
        try:
            return cls(**settings)  # type: ignore[arg-type]
        except ValidationError as error:
            raise InputError(*(f"site: CROMA_{line}" for line in _upper(error))) from None

    @property
    def root(self) -> str:
        """The root of storage, absolute."""
        return storage.absolute(self.storage)

    @property
    def tracker(self) -> "Tracker":
        """Where runs are tracked: the server of the site, or a SQLite file in its home."""
        # MLflow takes a second to import, and a build does not need it.
        from croma.tracking.tracker import Tracker, local_tracker

        if not self.tracking:
            return local_tracker(self.home)
        return Tracker(uri=self.tracking, artifacts=self.artifacts or None)

    def dataset(self, name: str) -> str:
        """Address of a dataset by its name; an address is taken as it is."""
        if "/" in name:
            return storage.absolute(name)
        return storage.join(self.root, "datasets", name)


def _upper(error: ValidationError) -> list[str]:
    lines = []
    for line in problems(error):
        name, _, rest = line.partition(":")
        lines.append(f"{name.upper()}:{re.sub(r'//[^/@]+@', '//***@', rest)}")
    return lines
