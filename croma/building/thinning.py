"""Keeping places apart: of two that are too near, the first is kept."""

import numpy as np
from scipy.spatial import cKDTree

from croma.pairing import Flags
from croma.places import Floats

EARTH = 6_371_008.8
"""Mean radius in metres."""


def apart(longitude: Floats, latitude: Floats, metres: float) -> Flags:
    """Which points to keep so that no two are nearer than `metres`.

    A point is left out if and only if an earlier one that is kept is nearer: what is kept of the first n points does
    not depend on those after them.

    Args:
        longitude: degrees, shape (n,).
        latitude: degrees, shape (n,).
        metres: least distance on the sphere; at 0 all are kept.
    """
    if metres <= 0 or len(longitude) == 0:
        return np.ones(len(longitude), bool)
    chord = 2 * np.sin(min(metres / EARTH, np.pi) / 2)
    pairs = cKDTree(_on_sphere(longitude, latitude)).query_pairs(chord * (1 - 1e-12), output_type="ndarray")
    earlier, later = np.sort(pairs, axis=1).T
    kept, dropped = np.zeros(len(longitude), bool), np.zeros(len(longitude), bool)
    while len(earlier):
        # a point is decided once all that come before it and are too near are
        waiting = np.zeros(len(longitude), bool)
        waiting[later[~dropped[earlier]]] = True
        kept |= ~waiting & ~dropped
        dropped[later[kept[earlier]]] = True
        open_ = ~dropped[later] & ~dropped[earlier] & ~kept[earlier]
        earlier, later = earlier[open_], later[open_]
    return ~dropped


def _on_sphere(longitude: Floats, latitude: Floats) -> Floats:
    x, y = np.radians(longitude), np.radians(latitude)
    return np.column_stack((np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)))
