"""A worker as Ray Train runs it: what Ray knows of the run, told to `croma.training.worker` in its own words."""

import json
import logging
import signal
import threading
from collections.abc import Callable
from typing import Any

import ray.train
import ray.train.torch
import torch
from ray.experimental import internal_kv
from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend
from ray.train.v2._internal.execution.context import get_train_context

from croma import distributed
from croma.errors import ContractError, InputError, UnusableError
from croma.logs import about
from croma.training.ray_metrics import Gauges
from croma.training.reporting import Line
from croma.training.spec import TrainRun
from croma.training.step import Requests
from croma.training.worker import train_here

FINAL: dict[str, type[Exception]] = {error.__name__: error for error in (ContractError, InputError, UnusableError)}
"""Errors that would come again: the run ends instead of being restarted."""

_terminated = threading.Event()


class Notes:
    """What driver and workers of one attempt at a run leave for each other, in the cluster's key-value store."""

    def __init__(self, run: TrainRun) -> None:
        self._prefix = f"{run.id}/{run.attempt}/"

    def put(self, kind: str, text: str) -> None:
        """Leave a note, over an older one of its kind."""
        internal_kv._internal_kv_put(self._prefix + kind, text, namespace="croma")

    def get(self, kind: str) -> str | None:
        """The note of a kind, None where there is none."""
        found = internal_kv._internal_kv_get(self._prefix + kind, namespace="croma")
        return None if found is None else bytes(found).decode()

    def clear(self) -> None:
        """Remove the notes of this attempt."""
        internal_kv._internal_kv_del(self._prefix, del_by_prefix=True, namespace="croma")


class Wishes:
    """What the cluster or the driver wants of this worker."""

    def __init__(self, notes: Notes) -> None:
        self._heard: set[str] = set()
        self._stop = threading.Event()
        if distributed.rank() == 0:
            threading.Thread(target=self._listen, args=(notes,), daemon=True).start()

    def __call__(self) -> Requests:
        """Asked at every step: save once before a machine is taken away; stop when the driver says so."""
        save = self._first("preempted", get_train_context().preemption_context.preemption_info is not None)
        save |= self._first("terminated", _terminated.is_set())
        return Requests(save=save, stop=self._stop.is_set())

    def _first(self, what: str, happened: bool) -> bool:
        if happened and what not in self._heard:
            self._heard.add(what)
            return True
        return False

    def _listen(self, notes: Notes) -> None:
        while not self._stop.wait(1.0):
            if notes.get("stop") is not None:
                self._stop.set()


class Backend(_TorchBackend):
    """Ray's own, and a signal that is heard: SIGTERM asks for a checkpoint instead of killing at once."""

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Called before every start of a worker group; only the main thread of a worker may listen to signals."""
        super().on_start(worker_group, backend_config)
        worker_group.execute(_listen_to_signals)


class Torch(TorchConfig):
    """Torch's process group with `Backend`."""

    @property
    def backend_cls(self) -> type[Backend]:
        """See `Backend`."""
        return Backend


def _listen_to_signals() -> None:
    signal.signal(signal.SIGTERM, lambda *_: _terminated.set())


def train_worker(config: dict[str, str]) -> str | None:
    """Train `config["run"]`, a `TrainRun` as JSON. Returns a `Trained` as JSON on rank 0.

    An error that would come again is left as a note for the driver; a restarted group finds it and ends at once.
    """
    run = TrainRun.model_validate_json(config["run"])
    notes = Notes(run)
    if notes.get("error") is not None:
        return None
    logging.getLogger("croma").setLevel(logging.INFO)
    device = ray.train.torch.get_device()
    if device.type == "cpu":
        torch.set_num_threads(max(1, int(run.spec.resources.cpus)))
    try:
        with about(run=run.id, dataset=str(run.dataset)):
            trained = train_here(run, device, Wishes(notes), _teller(run, notes))
    except tuple(FINAL.values()) as error:
        notes.put("error", json.dumps([type(error).__name__, str(error)]))
        raise
    return trained.model_dump_json() if distributed.rank() == 0 else None


def _teller(run: TrainRun, notes: Notes) -> Callable[[Line], None]:
    """Tells the driver and Prometheus where the run stands."""
    gauges = Gauges(run.id)

    def tell(line: Line) -> None:
        notes.put("line", json.dumps(line))
        gauges.tell(line)

    return tell
