"""Bit lines solved as the linear network they are, with a dense solver."""

from __future__ import annotations

import numpy as np


def solve_ladder(conductance: np.ndarray, active: np.ndarray, r_p_hat: float) -> float:
    """Current of one bit line by Kirchhoff's law at every node.

    Node r carries cell r, which draws active_r * g_r * (1 - v_r) from the driven side; neighbouring nodes are joined by
    r_p_hat; the last node sees one more r_p_hat to virtual ground. Row 0 is farthest from the ADC.

    Args:
        conductance: (rows,) in units of the largest conductance.
        active: (rows,) bool; a cell that is not active is open.
        r_p_hat: resistance between neighbouring cells over the smallest cell resistance.

    Returns:
        Current, in units of one cell of largest conductance at full voltage.
    """
    rows = len(conductance)
    if r_p_hat == 0:
        return float(sum(float(g) for g, on in zip(conductance, active, strict=True) if on))
    matrix = np.zeros((rows, rows))
    source = np.zeros(rows)
    wire = 1 / r_p_hat
    for r in range(rows):
        g = float(conductance[r]) if active[r] else 0.0
        matrix[r, r] += g
        source[r] = g
        if r > 0:
            matrix[r, r] += wire
            matrix[r, r - 1] -= wire
        matrix[r, r] += wire
        if r + 1 < rows:
            matrix[r, r + 1] -= wire
    voltage = np.linalg.solve(matrix, source)
    return float(sum(float(g) * (1 - v) for g, on, v in zip(conductance, active, voltage, strict=True) if on))


def line_current(conductance: np.ndarray, drive: np.ndarray, r_p_hat: float, unit_times: int) -> float:
    """Mean current of one bit line while its rows are driven.

    Args:
        conductance: (rows,).
        drive: (rows,) in 0..1: level of a voltage, or fraction of the unit times for which the row is on.
        r_p_hat: bit-line resistance.
        unit_times: unit times of a full drive; a row of digit d is on during the first d of them.
    """
    if r_p_hat == 0:
        total = 0.0
        for g, level in zip(conductance, drive, strict=True):
            total += float(g) * float(level)
        return total
    total = 0.0
    for time in range(unit_times):
        total += solve_ladder(conductance, np.rint(drive * unit_times) > time, r_p_hat)
    return total / unit_times
