"""Laws of the spread sigma(I) of programmed cells, as pure functions of arrays.

I is the programmed target current [A], sigma the standard deviation of the current over cells [A]. Laws that are
defined by a fraction of the full scale need the cell's largest current I_max [A].

Sources: state-independent and state-proportional errors and the saturating exponential after Xiao et al., IEEE CAS
Magazine 22(4) 2022 and IEEE TCAS-I 69(4) 2022, doi 10.1109/TCSI.2021.3134313.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Currents = NDArray[np.float64]


def state_independent_sigma(target: ArrayLike, alpha: float, i_max: float) -> Currents:
    """Return the state-independent spread [A], sigma = alpha * I_max / 2, same shape as `target`.

    Args:
        target: programmed currents [A], any shape.
        alpha: error as a fraction of half the full scale.
        i_max: largest cell current [A].
    """
    return np.full(np.shape(target), 0.5 * alpha * i_max)


def state_proportional_sigma(target: ArrayLike, alpha: float) -> Currents:
    """Return the state-proportional spread [A], sigma = alpha * I; at I_max / 2 equal to the state-independent one.

    Args:
        target: programmed currents [A], any shape.
        alpha: error as a fraction of the state's own current.
    """
    return alpha * np.asarray(target, dtype=np.float64)


def saturating_exponential_sigma(target: ArrayLike, s_max: float, i_sat: float, floor: float = 0.0) -> Currents:
    """Return the saturating spread [A], sigma = floor + s_max * (1 - exp(-I / i_sat)), same shape as `target`.

    In proportion to I well below `i_sat` (a spread of threshold voltage in subthreshold), constant well above.

    Args:
        target: programmed currents [A], any shape.
        s_max: spread that is approached at large currents, above the floor [A].
        i_sat: current at which 63 % of it is reached [A].
        floor: spread left at zero current [A].
    """
    return floor - s_max * np.expm1(-np.asarray(target, dtype=np.float64) / i_sat)


def power_law_sigma(target: ArrayLike, s_full: float, exponent: float, i_max: float) -> Currents:
    """Return the power-law spread [A], sigma = s_full * (I / I_max)**exponent, same shape as `target`.

    Args:
        target: programmed currents [A], any shape.
        s_full: spread at full scale [A].
        exponent: 0 is state-independent, 1 state-proportional; not negative.
        i_max: largest cell current [A].
    """
    return s_full * (np.asarray(target, dtype=np.float64) / i_max) ** exponent


def polynomial_sigma(target: ArrayLike, coefficients: Sequence[float], scale: float) -> Currents:
    """Return the polynomial spread [A], sigma = scale * max(0, sum_k c_k (I / scale)**k), same shape as `target`.

    Args:
        target: programmed currents [A], any shape.
        coefficients: c_0, c_1, ... for currents in units of `scale`.
        scale: the unit of current the coefficients are stated in [A].
    """
    ratio = np.asarray(target, dtype=np.float64) / scale
    return scale * np.maximum(0.0, np.polynomial.polynomial.polyval(ratio, coefficients))
