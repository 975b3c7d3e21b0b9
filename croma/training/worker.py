"""One worker of a run, whoever started it: opens the data, builds the network, trains; rank 0 keeps and tells.

Knows torch's process group and no cluster: `croma.training.ray_worker` runs it on Ray.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from croma import distributed
from croma.batches.augment import augment
from croma.batches.batch import Batch, RawBatch
from croma.batches.loader import Loader
from croma.document import digest
from croma.model.layers import recompute_activations
from croma.objectives.choose import build
from croma.training.checkpoint import CheckpointStore
from croma.training.data import TrainingData, cache_folder, open_training_data
from croma.training.feed import feed
from croma.training.keeping import Copies, keep_weights
from croma.training.looks import SHOWN, Look, first
from croma.training.loop import Plan, Progress, Watcher, train
from croma.training.reporting import Line, Metrics, Progressing, Speed
from croma.training.spec import Trained, TrainRun, TrainSpec
from croma.training.step import Requests

log = logging.getLogger(__name__)


def train_here(
    run: TrainRun, device: torch.device, requests: Callable[[], Requests], tell: Callable[[Line], None]
) -> Trained:
    """Be one worker of `run`, as many as the process group has, from its newest checkpoint to its end.

    Args:
        run: what, and where everything is.
        device: of this worker.
        requests: what somebody outside wants, asked at every step.
        tell: called by rank 0 with where the run stands.

    Raises:
        ContractError, InputError, TransientError: see `croma.training.loop.train` and what opens data and storage.
    """
    spec = run.spec
    data = open_training_data(run.dataset, spec)
    torch.manual_seed(spec.seed)
    objective: Any = build(spec.objective)
    recompute_activations(objective, spec.resources.recompute)
    objective = objective.to(device)
    speed = Speed(spec.global_batch)
    images = partial(augment, normalisation=data.scaling, augmentation=spec.augmentation, image_size=spec.image_size)
    with (
        _checkpoints(run) as checkpoints,
        _loader(data, spec, device) as loader,
        _watchers(run, data, tell, lambda: _first(loader, images, device), checkpoints) as watchers,
    ):
        progress = train(
            objective,
            loader.batches,
            images,
            make_plan(spec),
            checkpoints=checkpoints,
            watchers=[speed, *watchers],
            requests=requests,
        )
    if progress.step == spec.steps and distributed.rank() == 0:
        keep_weights(objective, run, data, progress.step, run.weights)
    return Trained(
        step=progress.step,
        left_out=tuple(progress.left_out),
        losses=last_losses(progress, spec.steps),
        seconds=progress.seconds,
        samples_per_second=speed.samples_per_second,
        workers=distributed.world_size(),
    )


def make_plan(spec: TrainSpec) -> Plan:
    """The part of a recipe that the loop needs."""
    return Plan(
        steps=spec.steps,
        global_batch=spec.global_batch,
        schedule=spec.schedule,
        optimiser=spec.optimiser,
        faults=spec.faults,
        precision=spec.precision,
        micro_batch=spec.resources.micro_batch,
        checkpoint_every=spec.resources.checkpoint_every,
        compiled=spec.resources.compiled,
        sharding=spec.resources.sharding,
        shown_every=tuple(n for n in (spec.resources.look_every, spec.resources.weights_every) if n is not None),
    )


def last_losses(progress: Progress, steps: int) -> dict[str, float]:
    """Means of the loss and its terms over the last tenth of `steps`, at most 100."""
    last = progress.recent[-min(max(steps // 10, 1), 100) :]
    return {name: sum(losses[name] for losses in last) / len(last) for name in last[0]} if last else {}


@contextmanager
def _checkpoints(run: TrainRun) -> Iterator[CheckpointStore]:
    store = CheckpointStore(run.address("checkpoints"), run.spec.resources.keep)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _watchers(
    run: TrainRun,
    data: TrainingData,
    tell: Callable[[Line], None],
    shown: Callable[[], Batch],
    checkpoints: CheckpointStore,
) -> Iterator[list[Watcher]]:
    """Those who are told of steps: on rank 0 the terminal, who keeps weights, and the tracker where there is one."""
    if distributed.rank() != 0:
        yield []
        return
    resources = run.spec.resources
    here: list[Watcher] = [Progressing(tell, run.spec.steps, run.spec.global_batch, lambda: checkpoints.saved_at)]
    if resources.weights_every is not None:
        here.append(Copies(run, data, resources.weights_every))
    if run.tracker is None or run.tracking is None:
        yield here
        return
    # MLflow takes a second to import, and only rank 0 needs it.
    from croma.tracking.run import open_run
    from croma.tracking.tracker import Tracker

    tracker = Tracker(uri=run.tracker)
    with open_run(tracker, run.name, run.id, run_id=run.tracking, system_metrics=True) as tracked:
        yield [
            *here,
            Metrics(tracked, run.spec.global_batch, distributed.world_size()),
            Look(tracked, resources.look_every, shown()),
        ]


def _first(loader: Loader, images: Callable[[RawBatch], Batch], device: torch.device) -> Batch:
    """Images of the first chips of step 0, whatever step the run goes on from."""
    (batch,) = [first(images(raw), SHOWN) for raw in feed(loader.batches(0, 1), device)]
    return batch


def _loader(data: TrainingData, spec: TrainSpec, device: torch.device) -> Loader:
    cache, capacity = cache_folder() / digest(data.ref.uri), int(spec.resources.cache_gb * 1e9)
    return Loader(
        data.order(spec),
        data.chips,
        data.layout.planes,
        data.filler(spec.resources.reading, cache, capacity),
        rank=distributed.rank(),
        world=distributed.world_size(),
        pin=device.type == "cuda",
    )
