"""Interpolation that never overshoots its data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator


def monotone_cubic(x: NDArray[np.float64], knots: Sequence[float], values: Sequence[float]) -> NDArray[np.float64]:
    """Return the monotone cubic (PCHIP) interpolant; the end values are held outside the knots.

    Args:
        x: where to evaluate, any shape.
        knots: rising positions, at least two.
        values: the value at each knot.
    """
    interpolant = PchipInterpolator(np.asarray(knots, dtype=np.float64), np.asarray(values, dtype=np.float64))
    return np.asarray(interpolant(np.clip(x, knots[0], knots[-1])), dtype=np.float64)
