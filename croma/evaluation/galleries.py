"""Chips to look at: pairs, the neighbours that one sensor finds in the other, and what a probe is most wrong about."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from torch import Tensor

from croma.evaluation import figures, retrieval
from croma.evaluation.bench import Bench
from croma.evaluation.encoders import Encoder
from croma.evaluation.figures import Image
from croma.evaluation.problem import targets
from croma.evaluation.scoring import Case
from croma.evaluation.spec import Retrieval
from croma.sensors import Modality
from croma.shards.reader import read_chips

_QUERIES, _FOUND = 4, 5
_MISTAKES = 8


def chosen(bench: Bench) -> list[int]:
    """Rows of the score split to show, spread over its classes."""
    part = bench.task.score
    label = part.labels if part.labels.ndim == 1 else part.labels.int().argmax(1)
    turn = [int((label[:row] == label[row]).sum()) for row in range(len(label))]
    return sorted(sorted(range(len(label)), key=lambda row: (turn[row], int(label[row])))[: bench.spec.gallery])


def pairs(bench: Bench) -> Figure:
    """Both sensors of the chosen chips."""
    rows = chosen(bench)
    shown = _images(bench, rows)
    return figures.gallery(
        [shown[row]["optical"] for row in rows],
        [shown[row]["radar"] for row in rows],
        [_named(bench, row) for row in rows],
    )


def neighbours(bench: Bench, encoder: Encoder) -> dict[str, Figure]:
    """Which optical images radar finds nearest, and which radar images optical does; by file name.

    None where the encoder does not see both sensors or the recipe does not embed both.
    """
    sensors: tuple[Modality, Modality] = ("radar", "optical")
    if not set(sensors) <= set(encoder.modalities) & set(bench.spec.embedded):
        return {}
    found = {}
    for asking, answering in (sensors, sensors[::-1]):
        sides = []
        for part, split in bench.parts():
            vectors = bench.vectors(encoder, part, split)
            sides.append(retrieval.Pairs(vectors[asking].nan_to_num(), vectors[answering].nan_to_num()))
        rows = chosen(bench)[:_QUERIES]
        fit, select, score = sides
        near = retrieval.nearest(fit, select, score, Retrieval(), rows, _FOUND).tolist()
        found[f"neighbours-of-{asking}.png"] = _neighbours(bench, asking, rows, near)
    return found


def _neighbours(bench: Bench, asking: Modality, rows: Sequence[int], near: list[list[int]]) -> Figure:
    answering = "optical" if asking == "radar" else "radar"
    shown = _images(bench, sorted({*rows, *(number for line in near for number in line)}))
    lines = []
    for row, line in zip(rows, near, strict=True):
        images = [(shown[row][asking], f"{asking}: {_named(bench, row)}")]
        images.append((shown[row][answering], "the same ground"))
        for place, number in enumerate(line, 1):
            images.append((shown[number][answering], f"{place}. {_met(bench, row, number)}"))
        lines.append(("", images))
    return figures.board(lines)


def mistakes(bench: Bench, predictions: Mapping[Case, Tensor], modality: Modality) -> Figure:
    """The scored chips on which the trained encoder's linear probe, or its first, is most surely wrong."""
    cases = [case for case in predictions if case.encoder == "trained"]
    case = min(cases, key=lambda each: (each.modality != modality, each.protocol != "linear"))
    scores, truth = predictions[case], targets(bench.task.score.labels, len(bench.task.classes))
    gaps = (truth - scores).nan_to_num()
    if bench.task.score.labels.ndim == 1:
        gaps = gaps * truth  # how little of the true class was said
    worst = _one_of_each(_places(bench), gaps.abs().amax(1).argsort(descending=True, stable=True).tolist())[:_MISTAKES]
    shown = _images(bench, sorted(worst))
    titles = [_wrong(bench, row, scores[row], int(gaps[row].abs().argmax())) for row in worst]
    figure = figures.gallery([shown[row]["optical"] for row in worst], [shown[row]["radar"] for row in worst], titles)
    figure.suptitle(f"{case.protocol}, trained, {case.modality}: most wrong about", fontsize=10)
    return figure


def _wrong(bench: Bench, row: int, scores: Tensor, number: int) -> str:
    """What is true, and what was said of it."""
    if bench.task.score.labels.ndim == 1:
        said = int(scores.argmax())
        return f"{_named(bench, row)}\nsaid {bench.task.classes[said]} {float(scores[said]):.2f}"
    there = "there" if bool(bench.task.score.labels[row, number]) else "not there"
    return f"{bench.task.classes[number]} is {there}\nsaid {float(scores[number]):.2f}"


def _met(bench: Bench, row: int, number: int) -> str:
    """What the answer `number` is to one who asked from `row`."""
    if number == row:
        return "★ itself"
    places = _places(bench)
    return "☆ its ground, another day" if places[number] == places[row] else _named(bench, number)


def _places(bench: Bench) -> list[tuple[int, int, int]]:
    """Zone, left and top of the scored chips."""
    columns = (bench.task.score.rows[name].to_pylist() for name in ("epsg", "left", "top"))
    return list(zip(*columns, strict=True))


def _one_of_each(places: Sequence[tuple[int, int, int]], rows: Sequence[int]) -> list[int]:
    """The first of `rows` at every place, in their order."""
    first: dict[tuple[int, int, int], int] = {}
    for row in rows:
        first.setdefault(places[row], row)
    return list(first.values())


def _named(bench: Bench, row: int) -> str:
    """The class of a scored chip; the first of several."""
    label = bench.task.score.labels[row]
    return bench.task.classes[int(label) if label.ndim == 0 else int(label.int().argmax())]


def _images(bench: Bench, rows: Sequence[int]) -> dict[int, dict[str, Image]]:
    """Both sensors of scored chips in colour, by row; `rows` ascend."""
    table = bench.task.score.rows.take(list(rows)).to_pylist()
    normalised = bench.dataset.header.normalised
    optical = _as_normalised if normalised else figures.natural_colour
    radar = _as_normalised if normalised else figures.radar_colour
    return {
        row: {"optical": optical(planes["s2_10m"]), "radar": radar(planes["s1"])}
        for row, planes in zip(rows, read_chips(bench.dataset, table), strict=True)
    }


def _as_normalised(stored: npt.NDArray[Any]) -> Image:
    return figures.from_normalised(np.asarray(stored / 256, np.float32))
