"""A normal body with a tail of outlier cells: both fitted at once, so that neither spoils the other.

The density of a cell of state j is (1 - p) N(mu_j, sigma_j) + p T, with the fraction p and the shape of the tail T
common to all states (see `Tail`). Maximum likelihood by expectation and maximisation (Dempster, Laird & Rubin, J. R.
Statist. Soc. B 39 (1977) 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from devicekit.cells.tails import TAIL_SHAPES, Tail, TailShape
from devicekit.statistics.robust_statistics import robust_location
from devicekit.statistics.state_statistics import Spread, StateSample, normal_spread

Floats = NDArray[np.float64]
_STEPS = 2000
LARGEST_TAIL = 0.15
"""A larger share of the cells is no tail: the distribution itself is not normal."""
EVIDENCE = 6.0
"""How much better (BIC) than normal cells alone a tail must describe them."""


@dataclass(frozen=True)
class TailFit:
    """Body and tail at their maximum likelihood.

    Attributes:
        tail: fraction, shape, scale and standard error.
        body: mean and spread of each state's body.
        membership: chance that each sorted cell belongs to the tail, shape (cells,).
        evidence: BIC of normal cells alone less that of body and tail: above 0 speaks for a tail.
        scale_stderr: standard error of the tail's scale [spreads of the body]; 0 for a uniform tail.
    """

    tail: Tail
    body: Spread
    membership: Floats
    evidence: float
    scale_stderr: float


def find_tail(sample: StateSample, i_max: float) -> TailFit | None:
    """Return the body and tail that describe the cells best, or None where normal cells alone do as well.

    Args:
        sample: the cells; states of fewer than eight are described with the others' tail.
        i_max: full scale [A].
    """
    fits = [fit_tail(sample, shape, i_max) for shape in TAIL_SHAPES]
    best = max(fits, key=lambda fit: fit.evidence)
    if best.evidence < EVIDENCE or not 0 < best.tail.fraction <= LARGEST_TAIL:
        return None
    return best


def fit_tail(sample: StateSample, shape: TailShape, i_max: float, kept: Tail | None = None) -> TailFit:
    """Fit body and tail of one shape.

    Args:
        sample: the cells.
        shape: one of `TAIL_SHAPES`.
        i_max: full scale [A].
        kept: a tail of that shape to keep as it is, fitting the body only; None: fit it.
    """
    codes, counts = sample.codes, sample.counts.astype(np.float64)
    value = sample.values
    plain = normal_spread(sample)
    mean, sigma = robust_location(sample)
    # Quartiles of few cells, or of cells that are mostly equal, are too rough to begin with.
    sigma = np.where((counts < 8) | (sigma <= 0), plain.sigma, sigma)
    # A body that shrank onto a few cells would have any likelihood.
    least = 0.2 * sigma
    tail = _first_tail((value - mean[codes]) / sigma[codes], shape) if kept is None else kept
    previous = -np.inf
    for _ in range(_STEPS):
        z = (value - mean[codes]) / sigma[codes]
        body, far = _log_densities(tail, z, sigma[codes], i_max, value)
        both = np.logaddexp(body, far)
        share = np.exp(far - both)
        total = float(both.sum())
        found, mean, sigma = _maximise(sample, tail, share, z, least)
        tail = found if kept is None else kept
        if total - previous < 1e-6 and total >= previous:
            break
        previous = total
    z = (value - mean[codes]) / sigma[codes]
    body, far = _log_densities(tail, z, sigma[codes], i_max, value)
    both = np.logaddexp(body, far)
    share = np.exp(far - both)
    common, own = _variances(sample, tail, share, z, kept is not None)
    dof = np.clip(0.5 / own, 0.5, counts - 1.0)
    # The likelihood divides by the cells of the body, the unbiased variance by one less.
    members = np.maximum(counts - np.bincount(codes, share, minlength=len(counts)), 2.0)
    unbiased = sigma * np.sqrt(members / (members - 1.0))
    spread = Spread(mean, unbiased, unbiased / np.sqrt(members), unbiased / np.sqrt(2.0 * dof), dof)
    logit, log_scale = np.sqrt(common)
    fraction = tail.fraction
    ml = np.maximum(plain.sigma * np.sqrt((counts - 1.0) / counts), 1e-300)
    alone = float(np.sum(-counts * np.log(ml) - 0.5 * counts * np.log(2 * np.pi) - 0.5 * counts))
    cost = (1.0 if shape == "uniform" else 2.0) * float(np.log(len(value)))
    return TailFit(
        tail if kept is not None else replace(tail, stderr=float(fraction * (1.0 - fraction) * logit)),
        spread,
        share,
        2.0 * (float(both.sum()) - alone) - cost,
        0.0 if shape == "uniform" else float(tail.scale * log_scale),
    )


def _first_tail(z: Floats, shape: TailShape) -> Tail:
    """Return where the search begins: the share and distance of cells beyond four robust spreads."""
    side = {"low": -z, "high": z}.get(shape, np.abs(z))
    far = side[side > 4.0]
    fraction = float(np.clip(len(far) / len(z), 1e-4, 0.1))
    if shape == "uniform" or not len(far):
        return Tail(fraction, shape)
    scale = float(np.sqrt(np.mean(far**2))) if shape == "normal" else float(np.mean(far))
    return Tail(fraction, shape, scale)


def _log_densities(tail: Tail, z: Floats, spread: Floats, i_max: float, value: Floats) -> tuple[Floats, Floats]:
    body = np.log1p(-tail.fraction) - 0.5 * z**2 - np.log(spread) - 0.5 * np.log(2 * np.pi)
    with np.errstate(divide="ignore"):
        far = np.log(tail.fraction) + tail.log_density(z, spread, i_max, value)
    return body, far


def _maximise(sample: StateSample, tail: Tail, share: Floats, z: Floats, least: Floats) -> tuple[Tail, Floats, Floats]:
    """Return tail, means and spreads that are best for given memberships; the M step."""
    codes = sample.codes
    fraction = float(np.clip(share.mean(), 1e-9, 0.49))
    scale = tail.scale
    weight = 1.0 - share
    if tail.shape == "normal":
        # Tail cells of this shape lie about the same mean, with scale^2 of the variance.
        weight = weight + share / scale**2
        scale = float(np.sqrt(np.sum(share * z**2) / max(share.sum(), 1e-9)))
    elif tail.shape in ("low", "high"):
        distance = np.maximum(-z if tail.shape == "low" else z, 0.0)
        scale = float(np.sum(share * distance) / max(share.sum(), 1e-9))
    total = sample.sums(weight)
    new_mean = sample.sums(weight * sample.values) / total
    squares = sample.sums(weight * (sample.values - new_mean[codes]) ** 2)
    divisor = sample.counts if tail.shape == "normal" else sample.sums(1.0 - share)
    new_sigma = np.sqrt(squares / np.maximum(divisor, 1.0))
    new_sigma = np.maximum(new_sigma, least)
    return replace(tail, fraction=fraction, scale=float(np.clip(scale, 1.0, 1e9))), new_mean, new_sigma


def _variances(sample: StateSample, tail: Tail, share: Floats, z: Floats, kept: bool) -> tuple[Floats, Floats]:
    """Return the variances of (logit p, ln scale) and of ln sigma of each state, from the observed information.

    Louis' identity (J. R. Statist. Soc. B 44 (1982) 226): the information that cells with known membership would give,
    less the variance of their scores over the memberships. The means are left out: symmetric about them, the body's
    scores do not mix with theirs. A cell informs on its own state only, so the matrix is an arrow: a block of two, its
    products with each state, and a diagonal.
    """
    unsure = share * (1.0 - share)
    body = z**2 - 1.0
    distance = {"uniform": np.zeros_like(z), "normal": (z / tail.scale) ** 2}.get(tail.shape, np.abs(z) / tail.scale)
    curvature = (2.0 if tail.shape == "normal" else 1.0) * distance
    far = distance - (0.0 if tail.shape == "uniform" else 1.0)
    fraction = tail.fraction
    block = np.array(
        [
            [len(z) * fraction * (1.0 - fraction) - np.sum(unsure), -np.sum(unsure * far)],
            [-np.sum(unsure * far), np.sum(share * curvature - unsure * far**2)],
        ]
    )
    cross = np.stack(
        [
            -sample.sums(unsure * (far - body)),
            sample.sums(share * curvature - unsure * far * (far - body)),
        ]
    )
    own = 2.0 * (1.0 - share) * z**2 + share * curvature - unsure * (far - body) ** 2
    diagonal = np.maximum(sample.sums(own), 1e-12)
    if kept:
        return np.zeros(2), 1.0 / diagonal
    rows = 1 if tail.shape == "uniform" else 2
    shift = (cross / diagonal)[:rows]
    reduced = block[:rows, :rows] - shift @ cross[:rows].T
    covariance = np.linalg.pinv(reduced, hermitian=True)
    common = np.append(np.maximum(np.diag(covariance), 0.0), np.zeros(2 - rows))
    return common, 1.0 / diagonal + np.maximum(np.einsum("aj,ab,bj->j", shift, covariance, shift), 0.0)
