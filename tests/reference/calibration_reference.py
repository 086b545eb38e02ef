"""Converter and activation ranges from small sets of data that fit in memory, by their definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tests.reference.analog_reference import multiply, negative_currents
from tests.reference.mapping_reference import slice_worth

INNER = 0.9998
"""Fraction of the pre-conversion values that a range holds."""


def own_range(values: Any, symmetric: bool, inner: float = INNER) -> float:
    """The largest value a slice's own data ask for: the quantile of v, or of |v| where the range is symmetric.

    Args:
        values: pre-conversion values.
        symmetric: whether the range is symmetric.
        inner: fraction to hold.
    """
    ordered = sorted(abs(float(v)) if symmetric else float(v) for v in values)
    position = inner * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def tie_ranges(own: list[float], symmetric: bool) -> list[tuple[float, float]]:
    """Ranges of all slices: the largest r as it is, the others r * 2^-n with the largest n that covers their data.

    Args:
        own: what each slice's data ask for.
        symmetric: whether ranges are symmetric.
    """
    largest = max(own)
    ranges = []
    for value in own:
        n = 0
        while value > 0 and largest * 2.0 ** -(n + 1) >= value:
            n += 1
        hi = largest * 2.0**-n
        ranges.append((-hi if symmetric else 0.0, hi))
    return ranges


def calibrate_matrix(x: np.ndarray, weight: np.ndarray, design: Any, signed: bool = False, g_min: float = 0.0) -> Any:
    """Calibrated ranges of one matrix: quantised inputs, ideal cells, no converter.

    Args:
        x: (batch, rows) in units of the activation range.
        weight: (rows, columns).
        design: any object with the fields of a core design.
        signed: whether inputs have signs.
        g_min: conductance of an idle cell.

    Returns:
        A pair (lo, hi) for each slice.
    """
    analog = multiply(x, weight, design, signed=signed, g_min=g_min).analog
    symmetric = negative_currents(design, signed)
    return tie_ranges([own_range(analog[s], symmetric) for s in range(len(slice_worth(design)))], symmetric)


def quantisation_error(values: np.ndarray, low: float, high: float, bits: int = 12) -> float:
    """L1 norm of the error of quantising values with 2^bits levels over [low, high], clipping included.

    Args:
        values: activations.
        low: lower end.
        high: upper end.
        bits: resolution.
    """
    if not high > low:
        return float(np.sum(np.abs(np.asarray(values) - low)))
    step = (high - low) / (2**bits - 1)
    total = 0.0
    for value in np.asarray(values, dtype=np.float64).ravel():
        clipped = min(max(float(value), low), high)
        total += abs(low + step * float(np.rint((clipped - low) / step)) - float(value))
    return total


def best_high(values: np.ndarray, bits: int = 12, candidates: int = 400) -> tuple[float, float]:
    """The upper end of an activation range that starts at 0, by trying many.

    Returns:
        The best upper end and its error.
    """
    largest = float(np.max(values))
    tried = [largest * k / candidates for k in range(1, candidates + 1)]
    errors = [quantisation_error(values, 0.0, high, bits) for high in tried]
    best = int(np.argmin(errors))
    return tried[best], errors[best]
