"""Which pictures an evaluation makes, and what goes into them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from croma.batches.batch import Batch
from croma.evaluation import figures, galleries
from croma.evaluation.bench import Bench
from croma.evaluation.embed import read_batches
from croma.evaluation.encoders import Encoder, Network
from croma.evaluation.reach import attention_distances
from croma.evaluation.reconstruct import reconstruct
from croma.evaluation.scoring import Case, Measured
from croma.evaluation.sources import Source
from croma.evaluation.suited import scaling_for
from croma.model.croma import Croma
from croma.model.decoder import Decoder
from croma.model.decoder_file import Reconstruction
from croma.sensors import Modality

METRES = 10
"""Of a pixel."""
_MAP_POINTS = 800
_FEWEST_POINTS = 3
"""Fewer lie on a line, whatever they are."""


def draw_pictures(bench: Bench, source: Source, encoders: Sequence[Encoder], measured: Measured) -> dict[str, Figure]:
    """Figures by file name."""
    metric = next(iter(measured.scores)).metric
    pictures = {"scores.png": figures.score_bars(measured.scores, metric), "pairs.png": galleries.pairs(bench)}
    pictures |= galleries.neighbours(bench, encoders[0])
    if measured.predictions:
        pictures["mistakes.png"] = galleries.mistakes(bench, measured.predictions, _richest(bench, encoders))
    if isinstance(source.model, Croma):
        pictures["attention.png"] = _attention(bench, source, encoders)
        if source.decoder is not None:
            pictures["reconstructions.png"] = _reconstructions(bench, source, source.model, *source.decoder)
    if bench.task.score.labels.ndim == 1 and len(bench.task.score.labels) >= _FEWEST_POINTS:
        pictures["embedding-map.png"] = _embedding_map(bench, encoders)
        pictures |= _confusions(bench, measured, _richest(bench, encoders))
    return pictures


def _reconstructions(bench: Bench, source: Source, model: Croma, decoder: Decoder, task: Reconstruction) -> Figure:
    """The chips of the gallery with patches hidden and filled in."""
    batch = _images(bench, source)
    radar, optical = reconstruct(model.cpu(), decoder.eval(), task, batch)
    lines = []
    for number in range(len(batch.keys)):
        images = [batch.optical, optical.shown, optical.filled, batch.radar, radar.shown, radar.filled]
        lines.append(("", [figures.from_normalised(image[number].numpy()) for image in images]))
    titles = [f"{sensor}: {what}" for sensor in ("optical", "radar") for what in ("true", "shown", "filled in")]
    return figures.reconstructions(lines, titles)


def _attention(bench: Bench, source: Source, encoders: Sequence[Encoder]) -> Figure:
    """How far every head looks on the chips of the gallery, beside how far it looked before training."""
    batch = _images(bench, source)
    models = {each.name: each.model for each in encoders if isinstance(each, Network) and isinstance(each.model, Croma)}
    trained, untrained = (
        {part: found.numpy() for part, found in attention_distances(models[name], batch).items()}
        if name in models
        else {}
        for name in ("trained", "untrained")
    )
    return figures.head_distances(trained, untrained, METRES * source.model.spec.patch)


def _images(bench: Bench, source: Source) -> Batch:
    """The first chips of the gallery as the network saw images in pretraining."""
    rows = bench.task.score.rows.take(galleries.chosen(bench)[:4]).to_pylist()
    (raw,) = read_batches(bench.dataset, rows, len(rows))
    batch = scaling_for(bench.dataset, source.scaling).images(raw, min(source.model.spec.size))
    return batch._replace(keys=torch.arange(len(rows)))


def _embedding_map(bench: Bench, encoders: Sequence[Encoder]) -> Figure:
    """The richest modality that all encoders have, laid out in the plane."""
    modality = _richest(bench, encoders)
    part = bench.task.score
    rows = np.linspace(0, len(part.labels) - 1, min(len(part.labels), _MAP_POINTS)).astype(int)
    panels = {}
    for encoder in encoders:
        vectors = bench.vectors(encoder, part, bench.spec.splits.score)[modality][torch.from_numpy(rows)]
        panels[f"{encoder.name}, {modality}"] = _laid_out(vectors.nan_to_num(), encoder.standardise)
    return figures.embedding_map(panels, part.labels.numpy()[rows], bench.task.classes)


def _richest(bench: Bench, encoders: Sequence[Encoder]) -> Modality:
    shared = [each for each in bench.spec.modalities if all(each in encoder.modalities for encoder in encoders)]
    return "joint" if "joint" in shared else shared[0]


def _laid_out(vectors: torch.Tensor, standardise: bool) -> npt.NDArray[Any]:
    """(n, 2): t-SNE of the principal components, or the components themselves where there are too few points."""
    scaled = (vectors - vectors.mean(0)) / (vectors.std(0) + 1e-9) if standardise else vectors
    components = PCA(min(30, *scaled.shape), random_state=0).fit_transform(scaled.numpy())
    if len(scaled) < 20:
        return np.pad(components, ((0, 0), (0, 2)))[:, :2]
    # A thousand short rounds: threads would wait for each other longer than they compute, most of all on busy cores.
    with threadpool_limits(1):
        laid: npt.NDArray[Any] = TSNE(
            perplexity=min(30, len(scaled) / 4), init="pca", learning_rate="auto", random_state=0
        ).fit_transform(components)
    return laid


def _confusions(bench: Bench, measured: Measured, modality: Modality) -> dict[str, Figure]:
    """Of the trained encoder, by protocol."""
    truth, classes = bench.task.score.labels.numpy(), len(bench.task.classes)
    found = {}
    for protocol in bench.spec.protocols:
        scores = measured.predictions.get(Case("trained", protocol.name, modality))
        if scores is None:
            continue
        scored = ~scores.isnan().any(1).numpy()
        said = scores.numpy()[scored].argmax(1)
        cells = np.bincount(truth[scored] * classes + said, minlength=classes * classes)
        title = f"{protocol.name}, trained, {modality}"
        found[f"confusion-{protocol.name}.png"] = figures.confusion(
            cells.reshape(classes, classes), bench.task.classes, title
        )
    return found
