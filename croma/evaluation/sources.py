"""Weights to be judged, from an address in storage."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from croma import storage
from croma.errors import InputError
from croma.model.decoder import Decoder
from croma.model.decoder_file import NAME as DECODER
from croma.model.decoder_file import Reconstruction, load_decoder
from croma.model.networks import Network
from croma.model.spec import ModelSpec
from croma.model.weights import Card, load_weights


@dataclass(frozen=True, kw_only=True)
class Source:
    """Weights in memory, and what is known of them."""

    model: Network
    card: Card
    constants: dict[str, tuple[float, ...]]
    """Of the normalisation."""
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
def open_weights(address: str) -> Iterator[Source]:
    """The weights at an address; remote files are fetched for the time of the context.

    Raises:
        InputError: there are none, the file is damaged, or it does not say how its inputs are normalised.
    """
    with TemporaryDirectory() as folder:
        file = _fetched(address, Path(folder))
        if file is None:
            raise InputError(f"{address}: no such weights; train first, or check the address")
        model, card = load_weights(file)
        if card.normalisation is None:
            raise InputError(f"{address}: the weights do not say how their inputs are normalised; name the constants")
        beside = storage.join(address.rpartition("/")[0] or ".", DECODER)
        decoder = _fetched(beside, Path(folder)) if isinstance(model.spec, ModelSpec) else None
        yield Source(
            model=model,
            card=card,
            constants=dict(card.normalisation),
            fingerprint=hashlib.sha256(file.read_bytes()).hexdigest()[:16],
            file=file,
            decoder=load_decoder(decoder, model.spec) if decoder and isinstance(model.spec, ModelSpec) else None,
        )


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
