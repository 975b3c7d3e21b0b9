"""What workers on Ray look at, written down: `install` runs in every process that Ray starts."""

import os
import time
from pathlib import Path
from typing import Any

FOLDER = "CROMA_TEST_SEEN"
"""Environment variable: where to write. A file a run, a line a chip: its id and the key of its crop, turn and masks."""

PAUSE = 0.15
"""Seconds by which a batch of an elastic run takes longer: Ray looks at the nodes every 20 s."""


def install() -> None:
    """Have every batch that a worker cuts and turns recorded before."""
    from croma.training import ray_worker, worker

    train_here, augment = ray_worker.train_here, worker.augment

    def recorded(run: Any, *rest: Any) -> Any:
        file = os.open(Path(os.environ[FOLDER]) / run.id, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def look(raw: Any, *how: Any, **more: Any) -> Any:
            lines = [f"{chip} {key}\n" for chip, key in zip(raw.ids, raw.keys.tolist(), strict=True)]
            os.write(file, "".join(lines).encode())
            time.sleep(0 if isinstance(run.spec.resources.workers, int) else PAUSE)
            return augment(raw, *how, **more)

        worker.augment = look
        return train_here(run, *rest)

    ray_worker.train_here = recorded


def seen(folder: Path, run: str) -> set[str]:
    """All of it; a step that was taken twice, since its worker died, counts once: keys tell steps apart."""
    return set((folder / run).read_text().splitlines())
