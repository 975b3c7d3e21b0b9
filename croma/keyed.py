"""Random numbers as a hash of integer keys: the same on any machine, whatever else is drawn.

Source: splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
"""

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


def hashed(*keys: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """64 random bits for each row of keys, which broadcast against one another."""
    state = np.zeros(np.broadcast_shapes(*(np.shape(key) for key in keys)), np.uint64)
    with np.errstate(over="ignore"):
        for key in keys:
            state = _mix(state + np.uint64(0x9E3779B97F4A7C15) + np.asarray(key, np.int64).astype(np.uint64))
    return state


def uniform(*keys: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each row of keys, with 53 random bits."""
    return (hashed(*keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = state ^ (state >> np.uint64(31))
    return mixed
