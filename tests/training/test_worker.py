"""What rank 0 of a run leaves on its way, without a cluster: copies of weights, looks at the same chips, metrics."""

from pathlib import Path
from typing import Any

import pytest
import torch

from croma import storage
from croma.evaluation.history import list_artifacts, read_artifact
from croma.model.weights import load_weights
from croma.shards.dataset import open_dataset
from croma.shards.ref import DatasetRef
from croma.tracking.run import open_run
from croma.tracking.tracker import local_tracker
from croma.training import worker
from croma.training.left import list_copies, list_finished
from croma.training.spec import TrainRun, TrainSpec
from croma.training.step import Requests
from croma.training.worker import train_here
from tests.datasets import write_dataset
from tests.distributed.worker import SPEC


def make_run(root: Path | str, **changes: Any) -> TrainRun:
    resources = {"checkpoint_every": 2, "look_every": 2, "weights_every": 2}
    spec = TrainSpec.parse({**SPEC, "steps": 6, "schedule": {"warmup": 1}, "resources": resources, **changes}, "test")
    ref = open_dataset(DatasetRef(uri=write_dataset(str(root), shards=2))).ref
    return TrainRun(id="small-0123456789abcdef", name="small", spec=spec, dataset=ref, root=str(root), attempt="a")


@pytest.mark.slow
def test_copies_can_be_judged_while_the_run_goes_on(tmp_path: Path) -> None:
    run, steps = make_run(tmp_path), []

    def requests() -> Requests:
        steps.append(len(list_copies(run.root, run.name)))
        return Requests()

    train_here(run, torch.device("cpu"), requests, lambda _: None)
    assert steps == [0, 0, 1, 1, 2, 2]  # asked at the beginning of every step
    copies = list_copies(run.root, run.name)
    assert copies == [run.copy_at(2), run.copy_at(4)]
    weights = [load_weights(Path(address)) for address in (*copies, run.weights)]
    assert [card.provenance["step"] for _, card in weights] == ["2", "4", "6"]
    first, second, last = (model.state_dict()["radar_encoder.embed.weight"] for model, _ in weights)
    assert not torch.equal(first, second)
    assert not torch.equal(second, last)
    assert all(Path(address).with_name("decoder.safetensors").exists() for address in copies)
    assert list_copies(run.root, "smal") == list_copies(run.root, "small-0123456789abcdef") == []
    assert list_finished(run.root, run.name) == []


@pytest.mark.slow
def test_a_look_shows_the_same_chips_whatever_step_a_run_goes_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[torch.Tensor] = []

    class Noting:
        def __init__(self, run: Any, every: int, batch: Any) -> None:
            shown.append(batch.radar)

        def after_step(self, *_: Any) -> None: ...

    monkeypatch.setattr(worker, "Look", Noting)
    tracker = local_tracker(tmp_path / "home")
    with open_run(tracker, "small", "run") as tracked:
        pass
    run = make_run(tmp_path).model_copy(update={"tracker": tracker.uri, "tracking": tracked.id})
    asked = iter([False, False, True])
    train_here(run, torch.device("cpu"), lambda: Requests(stop=next(asked)), lambda _: None)
    train_here(run, torch.device("cpu"), Requests, lambda _: None)
    assert torch.equal(*shown)
    assert len(shown[0]) == 4


@pytest.mark.slow
def test_what_a_run_tells_the_tracker(tmp_path: Path) -> None:
    tracker = local_tracker(tmp_path / "home")
    with open_run(tracker, "small", "run") as tracked:
        pass
    run = make_run(tmp_path).model_copy(update={"tracker": tracker.uri, "tracking": tracked.id})
    train_here(run, torch.device("cpu"), Requests, lambda _: None)
    metrics = tracker.client.get_run(tracked.id).data.metrics
    assert {"train/loss", "speed/samples_per_second", "embeddings/alignment"} <= set(metrics)
    paths = list_artifacts(tracker, tracked.id, "reconstructions")
    assert paths == [f"reconstructions/step-{step:08d}.png" for step in (2, 4, 6)]
    assert all(read_artifact(tracker, tracked.id, path).startswith(b"\x89PNG") for path in paths)


@pytest.mark.slow
@pytest.mark.parametrize("cache_gb", [1.0, 0.0002, 0.0], ids=["kept", "partly kept", "streamed"])
def test_a_run_learns_the_same_wherever_its_chips_are(
    tmp_path: Path, s3_root: str, monkeypatch: pytest.MonkeyPatch, cache_gb: float
) -> None:
    """Shards in a folder, or in a bucket with a disk that keeps all, one or none: bit for bit the same weights."""
    monkeypatch.setenv("CROMA_CACHE", str(tmp_path / "cache"))
    here = make_run(tmp_path, window=5)
    there = make_run(s3_root, window=5, resources={"checkpoint_every": 6, "cache_gb": cache_gb})
    for run in (here, there):
        train_here(run, torch.device("cpu"), Requests, lambda _: None)
    storage.download(there.weights, tmp_path / "there.safetensors")
    one, other = (load_weights(Path(path))[0].state_dict() for path in (here.weights, tmp_path / "there.safetensors"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    kept = list((tmp_path / "cache").rglob("*.shard"))
    assert len(kept) == {1.0: 2, 0.0002: 1, 0.0: 0}[cache_gb]
