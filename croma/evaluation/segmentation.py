"""Segmentation by a light head on frozen patch encodings.

`linear`: each patch's encoding says the class of all its pixels by one matrix, solved to its optimum. `decoder`:
upsampling convolutions, trained. The matrix's penalty, the decoder's rate and epoch are chosen on the selection split
by mIoU.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from croma.evaluation.bench import Bench, Outcome
from croma.evaluation.encoders import Encoder
from croma.evaluation.heads import DecoderHead, LinearHead, classes_of
from croma.evaluation.maps import (
    IGNORED,
    Maps,
    confusion_by_block,
    draw,
    load_maps,
    names_of_pixels,
    pixel_codes,
    segmentation_values,
)
from croma.evaluation.metrics import Floats, from_confusion
from croma.evaluation.pixel_regression import regress_pixels
from croma.evaluation.spec import Segmentation
from croma.model.patches import patchify
from croma.sensors import Modality


class Head(NamedTuple):
    """A trained head, ready for maps of any size."""

    model: nn.Module
    mean: Tensor
    """(d,) of the fit split's tokens, which the head sees standardised."""
    gain: Tensor
    note: str

    @torch.no_grad()
    def say(self, tokens: Tensor) -> Tensor:
        """Class numbers (n, size, size) of tokens (n, patches, d)."""
        pieces = torch.split((tokens - self.mean) * self.gain, 16)
        return torch.cat([classes_of(self.model(piece)) for piece in pieces])


def measure(bench: Bench, encoder: Encoder, modality: Modality, spec: Segmentation) -> Outcome:
    """miou, pixel-accuracy and macro-f1 over the labelled pixels of the scored chips, for each share of the labels."""
    size = encoder.image_size
    codes = pixel_codes(bench, spec.chips, size, spec.told)
    names = names_of_pixels(bench, codes)
    fit, select, score = (
        load_maps(bench, encoder, modality, part, codes, spec.chips, size)
        for part in (bench.task.fit, bench.task.select, bench.task.score)
    )

    def learn(part: Maps, seed: int) -> Outcome:
        return score_head(bench, train_head(part, select, len(codes), spec, seed), score, names)

    def at(share: float) -> Outcome:
        seeds = bench.spec.seeds
        return learn(fit, seeds[0]) if share == 1 else averaged([learn(draw(fit, share, s), s) for s in seeds])

    return at_shares(spec.shares, at)


def at_shares(shares: Sequence[float], measured: Callable[[float], Outcome]) -> Outcome:
    """Outcomes at several shares of the labels as one: `miou-at-10` with ten percent; plain names for all labels alone.

    IoU by class is that of the largest share.
    """
    if tuple(shares) == (1.0,):
        return measured(1.0)
    found = {share: measured(share) for share in shares}
    percent = {share: f"{share * 100:g}".replace(".", "_") for share in shares}
    values = {f"{name}-at-{percent[s]}": each for s, one in found.items() for name, each in one.values.items()}
    notes = "; ".join(f"{percent[share]} %: {one.note}" for share, one in found.items())
    return found[max(shares)]._replace(values=values, note=notes)


def averaged(outcomes: Sequence[Outcome]) -> Outcome:
    """The means of what was measured with several seeds; the rest is the first's."""
    values = {name: np.mean([one.values[name] for one in outcomes], axis=0) for name in outcomes[0].values}
    return outcomes[0]._replace(values=values)


def score_head(bench: Bench, head: Head, score: Maps, classes: Sequence[str]) -> Outcome:
    """What a head says of the scored chips, measured."""
    counts = confusion_by_block(head.say(score.tokens), score.labels, len(classes), score.block, bench.blocks)
    return outcome_of(bench, counts, len(score.labels), head.note, classes)


def outcome_of(bench: Bench, counts: Floats, n: int, note: str, classes: Sequence[str]) -> Outcome:
    """Metrics of the pixels of `n` chips, counted by block, true class and said class (blocks, C, C)."""
    total = counts.sum(0)
    either = total.sum(0) + total.sum(1) - total.diagonal()
    by_class = {name: float(total[c, c] / either[c]) for c, name in enumerate(classes) if either[c]}
    return Outcome(segmentation_values(counts, bench), n, note, by_class=by_class)


def train_head(fit: Maps, select: Maps, classes: int, spec: Segmentation, seed: int) -> Head:
    """The head, of all penalties or of all rates and epochs, with the highest mIoU on the selection split."""
    flat = fit.tokens.flatten(0, 1)
    std = flat.std(0, correction=0)
    mean, gain = flat.mean(0), torch.where(std > 1e-9, 1 / std, 0.0)
    if spec.head == "linear":
        heads = _solved(fit, classes, spec, mean, gain)
        return max(heads, key=lambda head: _miou(head, select, classes))
    trained = [_train(fit, select, classes, spec, rate, seed, mean, gain) for rate in spec.learning_rates]
    return max(trained, key=lambda found: found[0])[1]


def _solved(fit: Maps, classes: int, spec: Segmentation, mean: Tensor, gain: Tensor) -> Iterator[Head]:
    patch = _patch(fit)
    features = ((fit.tokens - mean) * gain).flatten(0, 1)
    labels = patchify(fit.labels[:, None], patch).flatten(0, 1)
    for inverse_penalty, found in zip(
        spec.inverse_penalties, regress_pixels(features, labels, classes, spec.inverse_penalties), strict=True
    ):
        head = LinearHead(features.shape[1], classes, patch).requires_grad_(False)
        head.linear.weight.copy_(found.weights.permute(2, 0, 1).flatten(0, 1))
        head.linear.bias.copy_(found.intercepts.T.flatten())
        yield Head(head, mean, gain, f"C={inverse_penalty:g}")


def _train(
    fit: Maps, select: Maps, classes: int, spec: Segmentation, rate: float, seed: int, mean: Tensor, gain: Tensor
) -> tuple[float, Head]:
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DecoderHead(fit.tokens.shape[2], classes, _patch(fit))
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=spec.weight_decay)
    best, kept, chosen = -1.0, {name: value.clone() for name, value in model.state_dict().items()}, 0
    for epoch in range(1, spec.epochs + 1):
        for rows in torch.split(torch.randperm(len(fit.labels), generator=generator), spec.batch):
            logits = model((fit.tokens[rows] - mean) * gain)
            optimiser.zero_grad()
            cross_entropy(logits, fit.labels[rows], ignore_index=IGNORED).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        worth = _miou(Head(model, mean, gain, ""), select, classes)
        if worth > best:
            best, kept, chosen = worth, {name: value.clone() for name, value in model.state_dict().items()}, epoch
    model.load_state_dict(kept)
    return best, Head(model, mean, gain, f"rate={rate:g} epoch={chosen}")


def _miou(head: Head, maps: Maps, classes: int) -> float:
    counts = confusion_by_block(head.say(maps.tokens), maps.labels, classes, maps.block * 0, 1)
    return float(from_confusion(counts)["miou"][0])


def _patch(maps: Maps) -> int:
    """Pixels along a side of a patch."""
    side: int = round(maps.tokens.shape[1] ** 0.5)
    return maps.labels.shape[1] // side
