"""ADC and activation ranges from small sets of data that fit in memory, by their definitions."""

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


def bracket(values: Any, symmetric: bool, inner: float = INNER) -> tuple[float, float]:
    """The two neighbouring values, in order, between which every usual definition of the quantile lies.

    Args:
        values: pre-conversion values.
        symmetric: whether the range is symmetric.
        inner: fraction to hold.
    """
    ordered = sorted(abs(float(v)) if symmetric else float(v) for v in values)
    below = math.floor(inner * (len(ordered) - 1))
    return ordered[below], ordered[min(below + 1, len(ordered) - 1)]


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
    """Calibrated ranges of one matrix: quantised inputs, ideal cells, no ADC.

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
    values = np.asarray(values, dtype=np.float64).ravel()
    if not high > low:
        return float(np.sum(np.abs(values - low)))
    step = (high - low) / (2**bits - 1)
    clipped = np.minimum(np.maximum(values, low), high)
    return float(np.sum(np.abs(low + step * np.rint((clipped - low) / step) - values)))


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


def best_range(values: np.ndarray, bits: int = 12, outermost: int = 80) -> tuple[float, float, float]:
    """Both ends of an activation range, by trying each of the outermost values on either side in turn.

    Args:
        values: activations; the lower end is 0 where none is negative.
        bits: resolution.
        outermost: how many values are tried on each side.

    Returns:
        Lower end, upper end and error.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64).ravel())
    highs = np.unique(ordered[-outermost:])
    lows = np.unique(ordered[:outermost]) if ordered[0] < 0 else np.zeros(1)
    low, high = float(lows[0]), float(highs[-1])
    for _ in range(3):
        high = float(min(highs, key=lambda end: quantisation_error(values, low, float(end), bits)))
        low = float(min(lows, key=lambda end: quantisation_error(values, float(end), high, bits)))
    return low, high, quantisation_error(values, low, high, bits)
