"""Kernels of the exact ladder solution: arrays in, arrays out, no checks."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

RENORMALISE_AFTER = 16
"""Selected cells after which (i, u) is scaled back to u = 1, so that long dense lines cannot overflow.

Between two selected cells m rows apart u grows by at most 1 + m (1 + R_p_hat g_max): 16 such steps stay far inside
float64 for any line that can be stored. In float32 the caller bounds the growth first.
"""


def ladder(conductance: NDArray[Any], active: NDArray[np.bool_], r_p_hat: float) -> NDArray[Any]:
    """Solve resistor ladders exactly.

    Args:
        conductance: shape (rows, columns), contiguous float32 or float64.
        active: shape (batch, rows), contiguous bool.
        r_p_hat: normalised wire resistance.

    Returns:
        Currents, shape (batch, columns), dtype of `conductance`.
    """
    if r_p_hat == 0.0:
        product: NDArray[Any] = active.astype(conductance.dtype) @ conductance
        return product
    result = np.empty((active.shape[0], conductance.shape[1]), dtype=conductance.dtype)
    if conductance.dtype == np.float32:
        _ladder_double(conductance.astype(np.float64), active, r_p_hat, result)
    else:
        _ladder_double(conductance, active, r_p_hat, result)
    return result


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _ladder_double(
    conductance: NDArray[np.float64], active: NDArray[np.bool_], r_p_hat: float, result: NDArray[Any]
) -> None:
    """Run down the line once a pattern, all columns together; rows that are off collapse into one longer wire."""
    rows, columns = conductance.shape
    current = np.empty(columns)
    growth = np.empty(columns)  # u - 1
    for pattern in range(active.shape[0]):
        current[:] = 0.0
        growth[:] = 0.0
        wires = 0
        solved = 0
        for row in range(rows):
            if active[pattern, row]:
                resistance = wires * r_p_hat
                for column in range(columns):
                    growth[column] += resistance * current[column]
                    current[column] += conductance[row, column] * (1.0 + growth[column])
                wires = 0
                solved += 1
                if solved == RENORMALISE_AFTER:
                    for column in range(columns):
                        current[column] /= 1.0 + growth[column]
                        growth[column] = 0.0
                    solved = 0
            wires += 1
        resistance = wires * r_p_hat
        for column in range(columns):
            result[pattern, column] = current[column] / (1.0 + growth[column] + resistance * current[column])
