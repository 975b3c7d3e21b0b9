"""Pictures of an evaluation. Each function gives a matplotlib figure that needs no display."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from croma.evaluation.scores import EncoderName, Score
from croma.sensors import OPTICAL_CHANNELS

Image = npt.NDArray[np.float32]
"""(height, width, 3) in [0, 1]."""

COLOURS: Mapping[EncoderName, str] = {
    "trained": "#1b6ca8",
    "champion": "#5a9e6f",
    "untrained": "#d98c3f",
    "band-statistics": "#8c8c8c",
}
_BRIGHT, _GAMMA = 2500.0, 0.7
"""Reflectance × 10,000 shown as white, and the exponent that lifts vegetation and water out of the dark."""
_DECIBELS = ((-22.0, -2.0), (-28.0, -8.0), (2.0, 14.0))
"""What is shown from black to full of VV, VH and their difference."""


def natural_colour(optical_10m: npt.NDArray[np.uint16]) -> Image:
    """Red, green and blue of a chip's 10 m planes (B02, B03, B04, B08), on one scale for all chips; nodata black."""
    blue = 1 if len(optical_10m) == OPTICAL_CHANNELS else 0  # where all twelve bands are at 10 m, B01 comes first
    planes = optical_10m[[blue + 2, blue + 1, blue]].astype(np.float32) / _BRIGHT
    return np.asarray(np.moveaxis(np.clip(planes, 0, 1) ** _GAMMA, 0, 2), np.float32)


def radar_colour(radar: npt.NDArray[np.float16]) -> Image:
    """VV, VH and VV minus VH in decibels as red, green and blue, on one scale for all chips; nodata black."""
    vv, vh = radar.astype(np.float32)
    planes = [(plane - low) / (high - low) for plane, (low, high) in zip((vv, vh, vv - vh), _DECIBELS, strict=True)]
    return np.asarray(np.nan_to_num(np.clip(np.stack(planes, axis=2), 0, 1)), np.float32)


def from_normalised(image: npt.NDArray[np.float32]) -> Image:
    """A normalised radar (2, h, w) or optical (12, h, w) image in colour; NaN, which is what was hidden, is grey."""
    planes = [image[0], image[1], (image[0] - image[1] + 1) / 2] if len(image) == 2 else [image[3], image[2], image[1]]
    return np.asarray(np.nan_to_num(np.stack(planes, axis=2), nan=0.5), np.float32)


def gallery(optical: Sequence[Image], radar: Sequence[Image], titles: Sequence[str]) -> Figure:
    """Pairs of a dataset: optical above, radar of the same ground below."""
    figure, axes = _grid(2, len(titles))
    for column, title in enumerate(titles):
        _show(axes[0][column], optical[column], title)
        _show(axes[1][column], radar[column], "")
    _row_name(axes[0][0], "optical: B04, B03, B02")
    _row_name(axes[1][0], "radar: VV, VH, VV − VH")
    return figure


def reconstructions(rows: Sequence[tuple[str, Sequence[Image]]], titles: Sequence[str]) -> Figure:
    """Named rows of images under column titles: what is there, what was shown, what was filled in."""
    figure, axes = _grid(len(rows), len(titles))
    for number, (line, (name, images)) in enumerate(zip(axes, rows, strict=True)):
        for axis, image, title in zip(line, images, titles if number == 0 else [""] * len(titles), strict=True):
            _show(axis, image, title)
        _row_name(line[0], name)
    return figure


def embedding_map(panels: Mapping[str, npt.NDArray[Any]], labels: npt.NDArray[Any], classes: Sequence[str]) -> Figure:
    """Points (n, 2) of one or more encoders side by side, coloured by class number (n,)."""
    figure = Figure(figsize=(5.2 * len(panels) + 1.6, 5), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    palette = colormaps["tab10" if len(classes) <= 10 else "tab20"]
    for axis, (title, points) in zip(axes, panels.items(), strict=True):
        for number, name in enumerate(classes):
            chosen = points[labels == number]
            axis.scatter(*chosen.T, s=14, alpha=0.8, color=palette(number), label=name, linewidths=0)
        axis.set(title=title, xticks=[], yticks=[])
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", frameon=False, markerscale=1.6)
    return figure


def score_bars(scores: Sequence[Score], metric: str) -> Figure:
    """One panel a protocol, one group of bars a modality, one bar an encoder, with its interval."""
    chosen = [score for score in scores if score.metric == metric]
    protocols = list(dict.fromkeys(score.protocol for score in chosen))
    modalities = list(dict.fromkeys(score.modality for score in chosen))
    encoders = [name for name in COLOURS if any(score.encoder == name for score in chosen)]
    figure = Figure(figsize=(4.2 * len(protocols) + 1, 3.6), layout="constrained")
    axes = figure.subplots(1, len(protocols), squeeze=False, sharey=True)[0]
    width = 0.8 / len(encoders)
    for axis, protocol in zip(axes, protocols, strict=True):
        for position, encoder in enumerate(encoders):
            mine = {score.modality: score for score in chosen if (score.encoder, score.protocol) == (encoder, protocol)}
            places = [group + (position - (len(encoders) - 1) / 2) * width for group in range(len(modalities))]
            _bars(axis, places, [mine.get(modality) for modality in modalities], width, encoder)
        axis.set(title=protocol, ylim=(0, 1.05), xticks=range(len(modalities)), xticklabels=modalities)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel(metric)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", frameon=False)
    return figure


def _bars(
    axis: Axes, places: Sequence[float], scores: Sequence[Score | None], width: float, encoder: EncoderName
) -> None:
    pairs = [(place, score) for place, score in zip(places, scores, strict=True) if score is not None]
    if not pairs:
        return
    values = np.array([score.value for _, score in pairs])
    lows, highs = np.transpose([_ends(score) for _, score in pairs])
    errors = np.maximum([values - lows, highs - values], 0)
    where = [place for place, _ in pairs]
    axis.bar(where, values, width * 0.92, color=COLOURS[encoder], label=encoder, yerr=errors, capsize=2)
    for place, value, high in zip(where, values, highs, strict=True):
        axis.text(place, high + 0.015, f"{value:.2f}", ha="center", va="bottom", fontsize=7)


def _ends(score: Score) -> tuple[float, float]:
    """The interval; of no length where there is none."""
    return (score.value if score.low is None else score.low, score.value if score.high is None else score.high)


def confusion(matrix: npt.NDArray[Any], classes: Sequence[str], title: str) -> Figure:
    """Shares of each true class (rows) that were said to be each class (columns), with counts of chips."""
    figure = Figure(figsize=(1.6 + 0.62 * len(classes), 1.4 + 0.55 * len(classes)), layout="constrained")
    axis = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if shares[row, column] > 0.6 else "black"
            axis.text(column, row, f"{count:.0f}", ha="center", va="center", fontsize=7, color=colour)
    ticks = range(len(classes))
    axis.set(title=title, xlabel="said", ylabel="true", xticks=ticks, yticks=ticks, yticklabels=classes)
    axis.set_xticks(ticks, classes, rotation=45, ha="right")
    return figure


def curves(series: Mapping[str, Sequence[tuple[int, float]]], ylabel: str) -> Figure:
    """(step, value) of one or more metrics over a run."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axis = figure.subplots()
    for name, points in series.items():
        if points:
            axis.plot(*zip(*points, strict=True), label=name, linewidth=1.2)
    axis.set(xlabel="step", ylabel=ylabel)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    return figure


def _grid(rows: int, columns: int) -> tuple[Figure, npt.NDArray[Any]]:
    figure = Figure(figsize=(2.1 * columns + 0.3, 2.2 * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _show(axis: Axes, image: Image, title: str) -> None:
    axis.imshow(image, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.set_title(title, fontsize=8)


def _row_name(axis: Axes, name: str) -> None:
    axis.set_ylabel(name, fontsize=8)
