"""Whether a value from outside is a number that arithmetic can use."""

from __future__ import annotations

import math
from typing import TypeGuard

import numpy as np


def is_real(value: object) -> TypeGuard[float]:
    """Return whether a value is a finite real number: no text, no truth value, no integer that a float cannot hold."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


LEAST_TEMPERATURE = 1e-3
"""Temperature [K] below which no circuit is read; the laws divide by it."""


def is_temperature(value: object) -> TypeGuard[float]:
    """Return whether a value is a temperature [K] at which a circuit may be read or a cell stored."""
    return is_real(value) and value >= LEAST_TEMPERATURE
