"""Statistics of the weights and inputs of trained networks, where no network was measured: their one home.

Signed weights are taken as two-sided exponentially distributed integers of a given mean magnitude; input bits as
independent, each set with the same probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from devicekit.common.errors import DesignError
from devicekit.common.foreign import read_toml
from devicekit.common.paths import data_path
from devicekit.common.provenance import Constant

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NetworkStatistics:
    """What is taken of a network that nobody has seen.

    Attributes:
        bit_activity: fraction of the rows that one input bit drives.
        mean_magnitude: mean of |weight| over the largest weight.
        source: where the numbers come from.
    """

    bit_activity: float
    mean_magnitude: float
    source: str

    def __post_init__(self) -> None:
        for name in ("bit_activity", "mean_magnitude"):
            if not 0 <= getattr(self, name) <= 1:
                raise DesignError(f"Expected `{name}` in 0..1, but got {getattr(self, name)!r}.")


@lru_cache(maxsize=1)
def network_statistics() -> NetworkStatistics:
    """Return the bundled statistics, from ``data/circuits/network_statistics.toml``."""
    constants = {name: Constant.model_validate(entry) for name, entry in _file().items()}
    return NetworkStatistics(
        constants["bit_activity"].value,
        constants["mean_magnitude"].value,
        f"bit activity {constants['bit_activity'].value:g}, mean weight {constants['mean_magnitude'].value:g} of the "
        "largest (data/circuits/network_statistics.toml)",
    )


def _file() -> dict[str, Any]:
    return read_toml(data_path("circuits/network_statistics.toml"), DesignError)


@lru_cache(maxsize=1024)
def magnitude_probabilities(largest: int, mean: float) -> Floats:
    """Return P(|I| = k), k = 0..largest, of a two-sided exponential whose mean magnitude is ``mean * largest``.

    Args:
        largest: the largest magnitude.
        mean: mean magnitude over the largest. One that the flat distribution does not reach gives the flat one.
    """
    k = np.arange(largest + 1)
    sides = np.where(k == 0, 1.0, 2.0)

    def weights(rate: float) -> Floats:
        p: Floats = sides * np.exp(-rate * k)
        return np.asarray(p / p.sum())

    def excess(rate: float) -> float:
        return float(weights(rate) @ k) - mean * largest

    if excess(0.0) <= 0:
        return weights(0.0)
    if excess(50.0) >= 0:
        return weights(50.0)
    return weights(float(brentq(excess, 0.0, 50.0)))


def integer_probabilities(largest: int, mean: float) -> Floats:
    """Return the probability of each integer from ``-largest`` to ``largest``, see `magnitude_probabilities`."""
    p = magnitude_probabilities(largest, mean)
    return np.concatenate([p[:0:-1] / 2, p[:1], p[1:] / 2])
