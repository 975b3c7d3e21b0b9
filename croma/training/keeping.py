"""Weights in storage: at the end of a run, and on its way as copies that can be judged while it goes on."""

import tempfile
from pathlib import Path
from typing import Any

from croma import storage
from croma.batches.batch import Batch
from croma.model.decoder_file import NAME as DECODER
from croma.model.decoder_file import Reconstruction, save_decoder
from croma.model.weights import Card, save_weights
from croma.objectives.objective import Objective
from croma.provenance import code_version
from croma.training.data import TrainingData
from croma.training.loop import StepReport
from croma.training.spec import TrainRun


class Copies:
    """Keeps the weights every `every` steps."""

    def __init__(self, run: TrainRun, data: TrainingData, every: int) -> None:
        self._run = run
        self._data = data
        self._every = every

    def after_step(self, report: StepReport, batch: Batch, objective: Objective) -> None:  # noqa: ARG002
        """See `Watcher`. The last weights are kept in a place of their own."""
        if report.step % self._every == 0 and report.step < self._run.spec.steps:
            keep_weights(objective, self._run, self._data, report.step, self._run.copy_at(report.step))


def keep_weights(objective: Any, run: TrainRun, data: TrainingData, step: int, address: str) -> None:
    """Put the weights there, with the card that says how to use them; the decoder comes to lie beside them first."""
    provenance = {
        "name": run.name,
        "training": run.id,
        "dataset": str(data.ref),
        "step": str(step),
        "code": code_version(),
    }
    if run.tracking is not None:
        provenance["run"] = run.tracking
    model = objective.model
    card = Card(model=model.spec, normalisation=data.scaling._asdict(), provenance=provenance)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "weights.safetensors"
        save_weights(path, model, card)
        if hasattr(objective, "decoder"):
            decoder, spec = path.with_name(DECODER), objective.spec
            task = Reconstruction(
                radar_mask_ratio=spec.radar_mask_ratio,
                optical_mask_ratio=spec.optical_mask_ratio,
                target_norm=spec.target_norm,
            )
            save_decoder(decoder, objective.decoder, task)
            storage.upload(decoder, storage.join(address.rpartition("/")[0], DECODER))
        storage.upload(path, address)
