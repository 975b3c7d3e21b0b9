"""What is to be learnt and what came of it: the `pretrain` part of a recipe, and its result. Needs no torch."""

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from croma.batches.spec import Augmentation, Reading
from croma.document import Document, digest
from croma.model.towers_spec import TowersSpec
from croma.objectives.spec import CmidSpec, CromaSpec, ObjectiveSpec
from croma.shards.ref import DatasetRef
from croma.storage import join
from croma.training.schedule import Schedule
from croma.training.settings import AdamW, Faults, Precision, Sharding

Count = Annotated[int, Field(ge=1)]


def _of_a_kind(objective: Any) -> Any:
    """An objective that names no kind is CROMA."""
    return {"kind": CromaSpec().kind, **objective} if isinstance(objective, dict) else objective


Objective = Annotated[Annotated[ObjectiveSpec, Field(discriminator="kind")], BeforeValidator(_of_a_kind)]
"""Of one kind, so that what is wrong with it is said of that kind alone."""


class Resources(Document):
    """On what a run trains and how often it saves. Nothing here changes what is learnt."""

    workers: Count | tuple[Count, Count] = 1
    """Processes that train together; [fewest, most] lets the number follow what the cluster has."""
    cpus: float = Field(1.0, gt=0)
    """CPU cores of a worker."""
    gpus: float = Field(0.0, ge=0)
    """GPUs of a worker; 0 trains on the CPU."""
    micro_batch: Count | None = None
    """Samples that a worker passes at once; unset: all of its share. Smaller needs less memory and one more pass."""
    recompute: bool = False
    """Compute activations again in the backward pass instead of keeping them."""
    compiled: bool = False
    """Pass the networks through torch.compile."""
    sharding: Sharding = "replicated"
    """`sharded` keeps on each worker its part alone of encoders and decoder, of their gradient and of the optimiser's
    moments, for networks that are large beside a device; `replicated` keeps all on each, and is faster."""
    reading: Reading = Field(default_factory=Reading)
    cache_gb: float = Field(100.0, ge=0)
    """Disk that each machine may use to keep remote shards, in 10⁹ bytes. Shards beyond it are streamed every epoch."""
    checkpoint_every: Count = 500
    """Steps."""
    keep: int = Field(2, ge=1)
    """Checkpoints that are kept, the newest ones; the best one is kept beside them."""
    weights_every: Count | None = None
    """Steps between two copies of the weights that can be judged while the run goes on; unset: the last ones alone."""
    look_every: Count = 500
    """Steps between two looks at reconstructions and at how embeddings spread."""
    resize_seconds: float = Field(60.0, gt=0)
    """How often a cluster that can spare more workers is noticed, where their number may follow it. Resizing restarts
    from the newest checkpoint."""
    max_failures: int = Field(3, ge=0)
    """How often lost workers are replaced before the run is given up."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if isinstance(self.workers, tuple) and self.workers[0] > self.workers[1]:
            raise ValueError(f"workers are {list(self.workers)}: expected [fewest, most]")
        return self

    @property
    def most_workers(self) -> int:
        """The largest number of workers."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]


class TrainSpec(Document):
    """A pretraining. Says what, never where."""

    objective: Objective = Field(default_factory=CromaSpec)
    steps: Count
    """Optimiser steps."""
    global_batch: Count
    """Samples of a step over all workers; the contrastive loss compares all of them."""
    schedule: Schedule = Field(default_factory=Schedule)
    optimiser: AdamW = Field(default_factory=AdamW)
    precision: Precision = "bfloat16"
    """Of the networks' passes; losses, weights and the optimiser are float32 always."""
    augmentation: Augmentation = Field(default_factory=Augmentation)
    window: Count | None = None
    """Chips shuffled among each other; unset: the whole dataset. Set it where chips are small and come from remote
    storage: neighbours in a window are fetched together, instead of each chip by a request of its own."""
    faults: Faults = Field(default_factory=Faults)
    seed: int = 0
    """Keys initial weights, order, crops and masks."""
    resources: Resources = Field(default_factory=Resources)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = []
        height, width = self.objective.model.size
        if height != width:
            problems.append(f"objective.model.image is {height} × {width}: crops are square, so images must be")
        if self.schedule.warmup >= self.steps:
            problems.append(f"schedule.warmup is {self.schedule.warmup}: it must be less than steps ({self.steps})")
        if self.resources.most_workers > self.global_batch:
            problems.append(
                f"resources.workers is {self.resources.most_workers}: more than global_batch ({self.global_batch})"
            )
        if self.resources.sharding == "sharded":
            problems += self._not_sharded()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _not_sharded(self) -> Iterator[str]:
        """What stands against cutting the network over workers."""
        said = "resources.sharding is sharded"
        if isinstance(self.objective, CmidSpec):
            yield f"{said}: not offered for cmid, whose teacher follows its student; use replicated"
        elif isinstance(self.objective.model, TowersSpec) and self.objective.model.backbone != "vit":
            yield f"{said}: offered for backbone vit alone, this is {self.objective.model.backbone}; use replicated"
        if self.resources.compiled:
            yield f"{said}: not offered with resources.compiled; choose one"

    @property
    def image_size(self) -> int:
        """Pixels along a side of what the model sees."""
        return self.objective.model.size[0]

    def run_id(self, name: str, dataset: str) -> str:
        """The folder of the run: equal for equal results, so without `resources`.

        Args:
            name: of the experiment.
            dataset: fingerprint of the chips that are learnt from.
        """
        content = self.model_dump(mode="json", exclude={"resources"})
        return f"{name}-{digest([content, dataset])}"


class Trained(Document):
    """What rank 0 says when a worker group is done."""

    step: int
    """Steps done; fewer than asked for when the run was told to stop."""
    left_out: tuple[int, ...]
    """Steps whose batches were skipped after a fault."""
    losses: dict[str, float]
    """`loss` and its terms: means over the last steps, a tenth of them but at most 100."""
    seconds: float
    """Of steps, since the run began; pauses between restarts left out."""
    samples_per_second: float
    """Median over the steps since the last restart."""
    workers: int
    """At the end."""


class TrainResult(Document):
    """What a finished run has left."""

    run: str
    """Id of the run, and its folder below `runs/` in storage."""
    weights: str
    """Address of the weights."""
    dataset: DatasetRef
    """Learnt from."""
    chips: int
    """In the train split."""
    trained: Trained
    code: str
    """Version of the code."""
    tracking: str | None
    """Id of the run in MLflow."""


class TrainRun(Document):
    """A pretraining with all its addresses: what a worker is given."""

    id: str
    name: str
    """Of the experiment."""
    spec: TrainSpec
    dataset: DatasetRef
    root: str
    """Of storage, absolute."""
    tracker: str | None = None
    """Address of MLflow."""
    tracking: str | None = None
    """Id of the run in MLflow."""
    attempt: str
    """Tells this start of the run from earlier ones."""

    def address(self, *parts: str) -> str:
        """Something of the run in storage."""
        return join(self.root, "runs", self.id, *parts)

    @property
    def weights(self) -> str:
        """Where the weights are when the run is finished."""
        return self.address("weights", "weights.safetensors")

    def copy_at(self, step: int) -> str:
        """Where a copy of the weights at a step on the way is."""
        return self.address("weights", f"step-{step:09d}", "weights.safetensors")
