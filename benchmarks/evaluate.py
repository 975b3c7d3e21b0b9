"""How fast weights are judged on this machine: `make bench-eval`.

Three questions. How long the `quick` suite takes over 10,000 chips whose embeddings are kept. How much faster one
batched sweep over penalties is than scikit-learn's regressions one by one, at the same accuracies. How many chips a
second CROMA-B embeds here and in torchgeo, on the same weights and chips. Rivals are measured in turns, in this one
process. Prints a table and writes the numbers as JSON.
"""

import argparse
import json
import os
import platform
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from benchmarks.planted import SIZE, make_dataset, planted
from benchmarks.torchgeo_croma import load_torchgeo
from croma.batches.batch import RawBatch
from croma.evaluation import linear, suite
from croma.evaluation.encoders import Network
from croma.evaluation.gate import Gate
from croma.evaluation.problem import Part, Problem, standardise
from croma.evaluation.spec import EvalSpec, Linear
from croma.model.croma import Croma
from croma.model.published import export_parts
from croma.model.spec import BASE, ModelSpec
from croma.model.weights import Card, save_weights
from croma.sensors import Modality
from croma.shards.ref import DatasetRef

THREADS = 2
CHIPS = 10_000
CLASSES = 10
DIM = 768
"""Of CROMA-B's vectors."""
SCIKIT_LEARN = {"scikit-learn": 1e-6, "scikit-learn, default": 1e-4}
"""Tolerances of its fits. By default weak penalties are left before the optimum, which says another accuracy."""


def quick_suite(folder: Path, chips: int) -> dict[str, float]:
    """Seconds of a whole evaluation by `quick`, and of its first run over empty storage without a network's work."""
    began = time.perf_counter()
    ref = make_dataset(folder, chips, CLASSES)
    made = time.perf_counter() - began
    spec = ModelSpec(encoder_dim=DIM, encoder_depth=2, encoder_heads=16, image=SIZE)
    torch.manual_seed(0)
    constants = {"radar_mean": (-14.0,) * 2, "radar_std": (5.0,) * 2}
    constants |= {"optical_mean": (2000.0,) * 12, "optical_std": (1500.0,) * 12}
    save_weights(folder / "weights.safetensors", Croma(spec), Card(model=spec, normalisation=constants))
    asked = EvalSpec(gate=Gate(on=("linear/joint/top1",))).with_suite("quick")
    with _planted_vectors():
        _judge(asked, folder, ref)
    shutil.rmtree(folder / "evaluations")
    began = time.perf_counter()
    card = _judge(asked, folder, ref)
    return {"seconds": time.perf_counter() - began, "chips": sum(card.chips.values()), "dataset": made}


def _judge(asked: EvalSpec, folder: Path, ref: DatasetRef) -> Any:
    return suite.evaluate(asked, str(folder / "weights.safetensors"), ref, str(folder), name="bench")


@contextmanager
def _planted_vectors() -> Iterator[None]:
    """For the time of the context, networks answer with vectors whose class can be told, without computing."""
    real = Network.encode

    def encode(self: Network, raw: RawBatch, modalities: Sequence[Modality], layer: str) -> dict[Modality, Tensor]:  # noqa: ARG001
        strength = 0.12 if self.name == "trained" else 0.06
        return {each: planted(raw, DIM, strength, zlib.crc32(each.encode())) for each in modalities}

    Network.encode = encode  # type: ignore[method-assign]
    try:
        yield
    finally:
        Network.encode = real  # type: ignore[method-assign]


def sweep(chips: int, repeats: int, dim: int = DIM) -> dict[str, Any]:
    """The batched sweep beside scikit-learn's fits, by default and where its accuracies no longer change.

    Seconds of each, accuracies by penalty, and how far the largest gap of accuracy to ours is, in points.
    """
    generator = torch.Generator().manual_seed(1)
    centres, sizes = torch.randn(CLASSES, dim, generator=generator), torch.logspace(0, -2, dim)
    turn = torch.linalg.qr(torch.randn(dim, dim, generator=generator))[0]

    def part(count: int) -> Part:
        labels = torch.randint(CLASSES, (count,), generator=generator)
        # Correlated features of unequal size, as embeddings have.
        return Part(
            (torch.randn(count, dim, generator=generator) + (11 / dim) ** 0.5 * centres[labels]) * sizes @ turn, labels
        )

    problem = standardise(Problem(fit=part(chips), select=part(chips // 5), score=part(chips // 2), classes=CLASSES))
    penalties = Linear().inverse_penalties
    fit, score = problem.fit, problem.score

    def ours() -> list[float]:
        logits = linear.fit_sweep(fit, CLASSES, penalties).logits(score.features)
        return [float((each.argmax(1) == score.labels).float().mean()) for each in logits]

    def theirs(tolerance: float) -> list[float]:
        x, y = fit.features.numpy(), fit.labels.numpy()
        fits = [LogisticRegression(C=penalty, tol=tolerance, max_iter=10_000).fit(x, y) for penalty in penalties]
        return [float(each.score(score.features.numpy(), score.labels.numpy())) for each in fits]

    rivals = {name: partial(theirs, tolerance) for name, tolerance in SCIKIT_LEARN.items()}
    times, answers = _in_turns({"ours": ours, **rivals}, repeats)
    gaps = {name: float(np.abs(np.subtract(answers["ours"], answers[name])).max()) * 100 for name in rivals}
    return {"seconds": times, "accuracies": answers, "gap_points": gaps, "penalties": len(penalties)}


def embedding(chips: int, repeats: int) -> dict[str, Any]:
    """Chips a second through CROMA-B at 120 px, all three vectors, here and in torchgeo."""
    torch.manual_seed(0)
    ours = Croma(BASE).eval()
    theirs = (
        load_torchgeo().CROMA(encoder_dim=BASE.encoder_dim, encoder_depth=BASE.encoder_depth, image_size=120).eval()
    )
    for part, tensors in export_parts(ours).items():
        getattr(theirs, part).load_state_dict(tensors)
    radar, optical = torch.rand(chips, 2, 120, 120), torch.rand(chips, 12, 120, 120)

    def embed_here() -> Tensor:
        found = ours(radar=radar, optical=optical).joint_gap
        assert found is not None
        return found

    def embed_there() -> Tensor:
        return theirs(radar, optical)["joint_GAP"]  # type: ignore[no-any-return]

    with torch.no_grad():
        times, answers = _in_turns({"ours": embed_here, "torchgeo": embed_there}, repeats)
    gap = float((answers["ours"] - answers["torchgeo"]).abs().max())
    return {"chips_per_second": {name: chips / seconds for name, seconds in times.items()}, "gap": gap}


def _in_turns(rivals: dict[str, Callable[[], Any]], repeats: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Median seconds of each rival and its answer; the order turns round at every repeat."""
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    answers = {}
    for number in range(repeats):
        for name in list(rivals)[:: 1 if number % 2 == 0 else -1]:
            began = time.perf_counter()
            answers[name] = rivals[name]()
            seconds[name].append(time.perf_counter() - began)
    return {name: median(each) for name, each in seconds.items()}, answers


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path(".croma/bench/evaluate.json"))
    parser.add_argument("--chips", type=int, default=CHIPS)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    folder = options.json.parent / "evaluate"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    load = os.getloadavg()[0]
    quick = quick_suite(folder, options.chips)
    swept, embedded = sweep(options.chips // 2, options.repeats), embedding(8, options.repeats)
    shutil.rmtree(folder)
    machine = {"processor": _processor(), "cores": os.cpu_count(), "load": [load, os.getloadavg()[0]]}
    machine |= {name: version(name) for name in ("torch", "scikit-learn")}
    found = {"machine": machine, "quick": quick, "sweep": swept, "embedding": embedded}
    options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(_table(found))


def _table(found: dict[str, Any]) -> str:
    quick, swept, embedded = found["quick"], found["sweep"], found["embedding"]
    seconds, rates = swept["seconds"], embedded["chips_per_second"]
    machine = found["machine"]
    before, after = machine["load"]
    rows = [
        ("`quick` suite", f"{quick['chips']:,} chips, embeddings kept", f"{quick['seconds']:.1f} s", "", ""),
        *(
            (
                f"linear probe, {swept['penalties']} penalties",
                f"largest gap of accuracy {gap:.2f} points",
                f"{seconds['ours']:.2f} s",
                f"{name} {seconds[name]:.2f} s",
                f"{seconds[name] / seconds['ours']:.1f}",
            )
            for name, gap in swept["gap_points"].items()
        ),
        (
            "CROMA-B at 120 px, all vectors",
            f"largest gap of a vector {embedded['gap']:.0e}",
            f"{rates['ours']:.2f} chips/s",
            f"torchgeo {rates['torchgeo']:.2f} chips/s",
            f"{rates['ours'] / rates['torchgeo']:.2f}",
        ),
    ]
    lines = [f"| {' | '.join(row)} |" for row in (("what", "", "ours", "other", "times faster"), ("---",) * 5, *rows)]
    where = f"{machine['processor']}, {THREADS} threads, load {before:.1f} before and {after:.1f} after"
    return "\n".join([*lines, "", f"{where}, torch {machine['torch']}, scikit-learn {machine['scikit-learn']}"])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
