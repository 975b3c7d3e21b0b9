"""The model registry: versions of a name, and the aliases that say which one is meant."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from croma.tracking.tracker import Tracker, default_uri, door, fetch_model

CHAMPION = "champion"
"""Alias of the newest model that passed its gate."""
WEIGHTS = "weights.safetensors"
"""Name of the file with the weights in a registered model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """A version of a registered model."""

    name: str
    version: int
    run_id: str
    tags: dict[str, str]
    metrics: dict[str, float]
    """Of the run that made it."""


def register(tracker: Tracker, name: str, model_id: str, run_id: str, tags: Mapping[str, str]) -> int:
    """Register a logged model under `name` and return its version; the same model twice is one version."""
    client = tracker.client
    with door(f"registering {name}"), default_uri(tracker.uri):
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        source = f"models:/{model_id}"
        for known in client.search_model_versions(f"name = '{name}'"):
            if known.source == source:
                return int(known.version)
        made = client.create_model_version(name, source, run_id, tags=dict(tags), model_id=model_id)
    return int(made.version)


@contextmanager
def champion_weights(tracker: Tracker, name: str) -> Iterator[Path | None]:
    """The file with the weights of the champion, for the time of the context; None while there is none."""
    if read_alias(tracker, name, CHAMPION) is None:
        yield None
        return
    with TemporaryDirectory() as folder:
        model = fetch_model(tracker, f"models:/{name}@{CHAMPION}", Path(folder))
        yield next(model.rglob(WEIGHTS))


def set_alias(tracker: Tracker, name: str, alias: str, version: int) -> None:
    """Let `models:/name@alias` mean this version."""
    with door(f"moving {name}@{alias}"):
        tracker.client.set_registered_model_alias(name, alias, str(version))


def read_alias(tracker: Tracker, name: str, alias: str) -> Registered | None:
    """What `models:/name@alias` means now; None when nothing does."""
    with door(f"reading {name}@{alias}"):
        models = tracker.client.search_registered_models(f"name = '{name}'")
        number = models[0].aliases.get(alias) if models else None
        if number is None:
            return None
        known = tracker.client.get_model_version(name, number)
        run_id = str(known.run_id)
        metrics = tracker.client.get_run(run_id).data.metrics
    return Registered(name=name, version=int(number), run_id=run_id, tags=known.tags, metrics=metrics)
