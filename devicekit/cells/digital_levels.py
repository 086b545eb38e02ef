"""Digital levels of a cell: misread probability of neighbouring states, number of levels at an error rate."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from devicekit.common.errors import DeviceError

Floats = NDArray[np.float64]
ERROR_RATES = (1e-3, 1e-6, 1e-9)
"""Misread probabilities that reports state the number of levels for."""


def state_overlap(mean: ArrayLike, sigma: ArrayLike) -> pd.DataFrame:
    """Return the misread probability of neighbouring states at the best threshold between them.

    Args:
        mean: mean current of each state, rising [A].
        sigma: spread of each [A].

    Returns:
        One row a pair: ``low`` and ``high`` [A], ``threshold`` [A] (where the two normals cross), and ``misread``, the
        probability that a cell falls on the wrong side (mean of both states).
    """
    means, sigmas = np.asarray(mean, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
    rows = []
    for low, high, s_low, s_high in zip(means, means[1:], sigmas, sigmas[1:], strict=False):
        threshold = _crossing(low, high, s_low, s_high)
        wrong = 0.5 * (stats.norm.sf((threshold - low) / s_low) + stats.norm.sf((high - threshold) / s_high))
        rows.append({"low": low, "high": high, "threshold": threshold, "misread": float(wrong)})
    return pd.DataFrame(rows, columns=["low", "high", "threshold", "misread"])


def _crossing(low: float, high: float, s_low: float, s_high: float) -> float:
    """Return where two normal densities are equal, between their means."""

    def difference(x: float) -> float:
        return float(stats.norm.logpdf(x, low, s_low) - stats.norm.logpdf(x, high, s_high))

    if not high > low or difference(low) <= 0 or difference(high) >= 0:
        return 0.5 * (low + high)
    return float(optimize.brentq(difference, low, high))


def digital_levels(
    sigma: Callable[[float], float], lowest: float, highest: float, error_rate: float, most: int = 4096
) -> Floats:
    """Return the target currents [A] of the most digital levels at an error rate, packed from the lowest.

    Neighbours are as close as thresholds z spreads from each allow, I' - I = z (sigma(I) + sigma(I')), z the normal
    quantile of the error rate: a cell is read as the next level with that chance on each side.

    Args:
        sigma: spread [A] at a current [A].
        lowest: lowest level [A].
        highest: highest level [A].
        error_rate: probability of a misread on each side, above 0 and below 0.5.
        most: largest number of levels.

    Raises:
        DeviceError: an error rate outside 0..0.5, or a range that is none.
    """
    if not (isinstance(error_rate, Real) and 0 < error_rate < 0.5):
        raise DeviceError(f"Expected `error_rate` to be above 0 and below 0.5, but got {error_rate!r}.")
    if not 0 <= lowest < highest:
        raise DeviceError(f"Expected levels from `lowest` to a larger `highest`, but got {lowest!r} and {highest!r}.")
    quantile = float(stats.norm.isf(error_rate))
    levels = [lowest]
    while len(levels) < most:
        here = levels[-1]

        def gap(current: float, here: float = here) -> float:
            return current - here - quantile * (sigma(here) + sigma(current))

        spare = gap(highest)
        if spare < -1e-9 * highest:
            break
        if spare <= 1e-9 * highest or gap(here) >= 0:
            levels.append(highest)
            break
        levels.append(float(optimize.brentq(gap, here, highest, xtol=1e-12 * highest)))
    return np.array(levels)
