"""From the spec of a network to the network."""

from croma.model.croma import Croma
from croma.model.spec import ModelSpec
from croma.model.towers import Towers
from croma.model.towers_spec import NetworkSpec

Network = Croma | Towers
"""Takes `radar` and `optical`, gives `Encodings`; has the `spec` it was built from."""


def build_network(spec: NetworkSpec) -> Network:
    """The network of `spec` with fresh weights from torch's global generator."""
    return Croma(spec) if isinstance(spec, ModelSpec) else Towers(spec)
