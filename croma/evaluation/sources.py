"""Weights to be judged, from an address in storage."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from croma import storage
from croma.errors import InputError
from croma.evaluation.scaling import SSL4EO, Scaling
from croma.evaluation.scores import Variant
from croma.model.decoder import Decoder
from croma.model.decoder_file import NAME as DECODER
from croma.model.decoder_file import Reconstruction, load_decoder
from croma.model.networks import Network
from croma.model.published import load_published
from croma.model.spec import ModelSpec
from croma.model.weights import Card, load_weights


@dataclass(frozen=True, kw_only=True)
class Source:
    """Weights in memory, and what is known of them."""

    model: Network
    card: Card
    constants: dict[str, tuple[float, ...]]
    """Of the normalisation; those of SSL4EO-S12 where the weights do not say."""
    scaling: Scaling
    fingerprint: str
    """First 16 hex digits of the sha256 of the file."""
    file: Path
    """The file on this machine, while the context is open."""
    decoder: tuple[Decoder, Reconstruction] | None
    """Of CROMA's pretraining, where it was kept beside the weights."""

    @property
    def step(self) -> int:
        """Training step; 0 when unknown."""
        return int(self.card.provenance.get("step", 0))


@contextmanager
def open_weights(address: str, normalisation: Variant = "own", batch: int = 0) -> Iterator[Source]:
    """The weights at an address; remote files are fetched for the time of the context.

    Args:
        address: of our safetensors, or of a file in CROMA's released format (`.pt`).
        normalisation: how pixels are to be scaled.
        batch: chips in a batch, for a normalisation that depends on it.

    Raises:
        InputError: there are none, the file is damaged, or it does not say how its inputs are normalised.
    """
    with TemporaryDirectory() as folder:
        file = _fetched(address, Path(folder))
        if file is None:
            raise InputError(f"{address}: no such weights; train first, or check the address")
        model, card = _loaded(file)
        if card.normalisation is None and normalisation == "own":
            raise InputError(
                f"{address}: the weights do not say how their inputs are normalised; set evaluate.normalisation to "
                "readme, paper or torchgeo, the three ways in print"
            )
        constants = dict(card.normalisation or SSL4EO)
        beside = storage.join(address.rpartition("/")[0] or ".", DECODER)
        decoder = _fetched(beside, Path(folder)) if isinstance(model.spec, ModelSpec) else None
        yield Source(
            model=model,
            card=card,
            constants=constants,
            scaling=Scaling(variant=normalisation, constants=constants, batch=batch),
            fingerprint=hashlib.sha256(file.read_bytes()).hexdigest()[:16],
            file=file,
            decoder=load_decoder(decoder, model.spec) if decoder and isinstance(model.spec, ModelSpec) else None,
        )


def _loaded(file: Path) -> tuple[Network, Card]:
    if file.suffix not in (".pt", ".pth"):
        return load_weights(file)
    model = load_published(file)
    return model, Card(model=model.spec)


def _fetched(address: str, folder: Path) -> Path | None:
    """The file on this machine; None where there is none."""
    local = storage.local_path(address)
    if local is not None:
        return local if local.exists() else None
    local = folder / address.rpartition("/")[2]
    try:
        storage.download(address, local)
    except FileNotFoundError:
        return None
    return local
