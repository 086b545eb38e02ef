"""Mean and spread of each state when some cells do not belong: trimmed moments, Student t, and the tail-bit report."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special, stats

from devicekit.common.errors import DeviceError
from devicekit.statistics.state_statistics import Spread, StateSample, normal_spread

Floats = NDArray[np.float64]

TRIMMED_EACH_SIDE = 0.05
"""Share of the cells left out at each end by the trimmed estimator."""
_NU_RANGE = (1.5, 200.0)


def trimmed_spread(sample: StateSample, share: float = TRIMMED_EACH_SIDE) -> Spread:
    """Return mean and spread of each state from its inner cells, consistent for normal cells.

    The variance of the inner 1 - 2 p of a normal is c < 1 times the whole; sigma^2 is the inner mean square over c.
    Its degrees of freedom follow from the influence function min(z^2, q^2): nu = (n - 1) * 2 / avar.

    Args:
        sample: the cells.
        share: p, share left out at each end, 0 to below 0.5.

    Raises:
        DeviceError: a share outside 0 to 0.5, or states with fewer than two cells left.
    """
    if not 0 <= share < 0.5:
        raise DeviceError(f"Expected the trimmed `share` to be at least 0 and below 0.5, but got {share!r}.")
    if share == 0:
        return normal_spread(sample)
    counts = sample.counts
    out = np.floor(share * counts).astype(np.int64)
    rank = np.arange(len(sample.values)) - sample.starts[sample.codes]
    inner = (rank >= out[sample.codes]) & (rank < (counts - out)[sample.codes])
    kept = (counts - 2 * out).astype(np.float64)
    if np.any(kept < 2):
        raise DeviceError(f"Trimming {share:.0%} at each end leaves fewer than two cells of some states.")
    mean = sample.sums(np.where(inner, sample.values, 0.0)) / kept
    squares = sample.sums(np.where(inner, (sample.values - mean[sample.codes]) ** 2, 0.0)) / kept
    own = np.maximum(out / counts, 1e-9)
    edge = -special.ndtri(own)
    density = np.exp(-0.5 * edge**2) / math.sqrt(2 * math.pi)
    inside = 1.0 - 2.0 * own
    second = inside - 2.0 * edge * density
    fourth = 3.0 * second - 2.0 * edge**3 * density
    sigma = np.sqrt(squares * inside / second)
    # Winsorised square: mean and mean square of min(z^2, q^2) for a standard normal.
    first_moment, second_moment = second + 2 * own * edge**2, fourth + 2 * own * edge**4
    dof = (counts - 1.0) * 2.0 * second**2 / (second_moment - first_moment**2)
    mean_variance = (second + 2 * own * edge**2) / inside**2
    return Spread(mean, sigma, sigma * np.sqrt(mean_variance / counts), sigma / np.sqrt(2.0 * dof), dof)


def student_spread(sample: StateSample) -> tuple[Spread, float]:
    """Return location and spread of each state by a Student t, its degrees of freedom nu common to all states.

    sigma is that of the normal with the same central half, so that a few wild cells leave it alone; for normal cells
    nu grows and sigma is the usual one. Maximum likelihood: for each nu by iterated weights
    w = (nu + 1) / (nu + z^2), nu by a bounded search on the profile likelihood.

    Args:
        sample: the cells.

    Returns:
        The spread, and nu.
    """
    codes, counts = sample.codes, sample.counts.astype(np.float64)
    start = normal_spread(sample)

    def fitted(nu: float) -> tuple[Floats, Floats, float]:
        mean, scale = start.mean.copy(), np.maximum(_quartile_scale(sample), 1e-3 * start.sigma)
        for _ in range(200):
            z = (sample.values - mean[codes]) / scale[codes]
            weight = (nu + 1.0) / (nu + z**2)
            total = sample.sums(weight)
            new_mean = sample.sums(weight * sample.values) / total
            new_scale = np.sqrt(sample.sums(weight * (sample.values - new_mean[codes]) ** 2) / total)
            done = np.max(np.abs(new_scale / scale - 1)) < 1e-7
            mean, scale = new_mean, new_scale
            if done:
                break
        z = (sample.values - mean[codes]) / scale[codes]
        return mean, scale, float(np.sum(stats.t.logpdf(z, nu)) - np.sum(counts * np.log(scale)))

    best = optimize.minimize_scalar(
        lambda log_nu: -fitted(math.exp(log_nu))[2],
        bounds=tuple(map(math.log, _NU_RANGE)),
        method="bounded",
        options={"xatol": 0.02},
    )
    nu = math.exp(float(best.x))
    mean, scale, _ = fitted(nu)
    sigma = scale * float(stats.t.ppf(0.75, nu) / stats.norm.ppf(0.75)) * np.sqrt(counts / (counts - 1.0))
    # Fisher information of a t: (nu + 1) / (nu + 3) per squared scale for the location, 2 nu / (nu + 3) for ln scale.
    dof = (counts - 1.0) * nu / (nu + 3.0)
    spread = Spread(mean, sigma, scale * np.sqrt((nu + 3.0) / (nu + 1.0) / counts), sigma / np.sqrt(2.0 * dof), dof)
    return spread, nu


def _quartile_scale(sample: StateSample) -> Floats:
    """Return half the distance of the quartiles of each state over that of a standard normal."""
    low = sample.starts + (sample.counts * 0.25).astype(np.int64)
    high = sample.starts + np.minimum((sample.counts * 0.75).astype(np.int64), sample.counts - 1)
    return np.asarray((sample.values[high] - sample.values[low]) / (2 * 0.6744897501960817), dtype=np.float64)


def robust_location(sample: StateSample) -> tuple[Floats, Floats]:
    """Return the median of each state and the spread of a normal with its quartiles [A], shape (states,)."""
    middle = sample.starts + (sample.counts - 1) // 2
    median = (sample.values[middle] + sample.values[sample.starts + sample.counts // 2]) / 2
    return median, _quartile_scale(sample)


def tail_bits(sample: StateSample, least: Floats | None = None) -> pd.DataFrame:
    """Return the cells that lie farther out than a normal state of its median and quartiles would put any.

    A cell counts as a tail bit beyond k robust standard deviations, k such that half a cell of the whole data would
    lie there by chance, at least 4.

    Args:
        sample: the cells.
        least: smallest robust deviation to count with, by state [A]; None: any.

    Returns:
        One row a tail bit, farthest first: ``target`` [A], ``value`` [A], ``z`` (robust deviations from the median),
        ``row`` (its row among the cells fitted, from 0). The limit is in ``.attrs["limit"]``, the number
        expected by chance in ``.attrs["expected"]``.
    """
    total = len(sample.values)
    limit = max(4.0, float(stats.norm.isf(0.25 / total)))
    median, scale = robust_location(sample)
    # Quartiles of few cells are too rough to call a cell wild.
    scale = np.maximum(scale, np.where(sample.counts < 12, np.inf, 1e-300 if least is None else least))
    z = (sample.values - median[sample.codes]) / scale[sample.codes]
    wild = np.flatnonzero(np.abs(z) > limit)
    wild = wild[np.argsort(-np.abs(z[wild]), kind="stable")]
    table = pd.DataFrame(
        {
            "target": sample.targets[sample.codes[wild]],
            "value": sample.values[wild],
            "z": z[wild],
            "row": sample.order[wild],
        }
    )
    table.attrs.update(limit=limit, expected=2.0 * float(stats.norm.sf(limit)) * total)
    return table
