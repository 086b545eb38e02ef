"""From means and variances of margins to the share of right decisions and how it varies from chip to chip.

A decision is right if all margins ``m_k`` of the label are above 0. They are taken as normal, and correlated through
the label's own logit: ``m_k = mu_k + sigma_k (sqrt(rho) f + sqrt(1 - rho) e_k)`` with independent f and e_k, so that

    P(right) = E_f prod_k Phi((mu_k / sigma_k + sqrt(rho) f) / sqrt(1 - rho))

one integral (Gauss-Hermite). Between images n and n' of one chip margins are correlated by rho_nn', because the chip's
cells are the same; for the covariance of two decisions (Kendall, Biometrika 32, 196, 1941, the tetrachoric series)

    Cov = phi(a) phi(a') sum_j rho^j / j! He_{j-1}(a) He_{j-1}(a'),     a = mu / sigma.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import eval_hermitenorm, ndtr

Floats = NDArray[np.float64]
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(16)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_TERMS = 8
_LEAST = 1e-12


def right_decisions(mean: Floats, spread: Floats, correlation: Floats) -> Floats:
    """Return the probability that all margins of an image are above 0, shape (images,).

    Args:
        mean: of the margins, shape (images, classes).
        spread: standard deviations, same shape.
        correlation: between margins of an image, 0 to below 1, shape (images,).
    """
    place = mean / np.maximum(spread, _LEAST * (1.0 + np.abs(mean)))
    shared, own = np.sqrt(correlation), np.sqrt(1.0 - correlation)
    result = np.zeros(len(mean))
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        result += weight * ndtr((place + (shared * node)[:, None]) / own[:, None]).prod(axis=1)
    return result


def spread_over_chips(place: Floats, right: Floats, correlation: Floats) -> float:
    """Return the standard deviation over chips of the share of right decisions.

    Args:
        place: mean over spread of the margin that decides, shape (images,).
        right: probability of a right decision, shape (images,).
        correlation: of the margins between images; what it has on its diagonal is not used; shape (images, images).
    """
    images = len(place)
    density = np.exp(-0.5 * np.minimum(place**2, 1400.0)) / math.sqrt(2.0 * math.pi)
    total = np.zeros_like(correlation)
    power = np.ones_like(correlation)
    for order in range(1, _TERMS + 1):
        power = power * correlation
        factor = density * eval_hermitenorm(order - 1, np.clip(place, -30.0, 30.0))
        total += power * np.outer(factor, factor) / math.factorial(order)
    np.fill_diagonal(total, right * (1.0 - right))
    return float(math.sqrt(max(total.sum(), 0.0)) / images)
