"""Bit lines of cells that are no resistors: affine cells, re-linearised cells, and Newton's method to the end.

Around any bit-line voltage a cell is nearly affine, i = i_0 - s v. A ladder of affine cells is solved exactly in one
pass down the line and one back up, with the line above each node kept as a current source J with a conductance Y
beside it (Norton): a cell adds (i_0, s), a wire R turns both into J / (1 + R Y) and Y / (1 + R Y); the resistance of
the virtual ground is one more wire. Nothing is subtracted, so nothing cancels and nothing overflows. Re-linearising
every cell at the voltages so found and solving again is a step of Newton's method.
"""

from __future__ import annotations

from typing import Any, Protocol

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.errors import CircuitError

MOST_STEPS = 200
TOLERANCE = 1e-14
"""Newton's method ends when no voltage moves by more than this fraction of V_D."""


class CellModel(Protocol):
    """Current law of a cell that is no resistor, as a bit line asks for it."""

    def prepare(self, conductance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the programmed state of each cell, in the law's own terms, for its target current; same shape."""

    def evaluate(self, state: ArrayLike, drop: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return current and minus its slope at a bit-line voltage `drop`, in units of the full current and V_D."""


def solve_newton(
    conductance: NDArray[Any],
    active: NDArray[np.bool_],
    r_p_hat: float,
    cell: CellModel,
    steps: int | None,
    r_in_hat: float = 0.0,
) -> NDArray[np.float64]:
    """Return the currents of bit lines of nonlinear cells after some re-linearisations, or after convergence.

    Args:
        conductance: target currents of the cells, shape (rows, columns).
        active: shape (batch, rows).
        r_p_hat: normalised wire resistance.
        cell: the cells' current law.
        steps: re-linearisations after the affine solution; None for as many as it takes.
        r_in_hat: normalised resistance of the virtual ground, in series with the last wire.

    Returns:
        Currents in units of the full current, shape (batch, columns).

    Raises:
        CircuitError: no convergence within `MOST_STEPS` steps.
    """
    cells = conductance.astype(np.float64)
    state = cell.prepare(cells)
    result = np.zeros((active.shape[0], cells.shape[1]))
    if r_p_hat == 0 and r_in_hat == 0:
        return np.asarray(active.astype(np.float64) @ cells)
    at_rest, slope_at_rest = cell.evaluate(state, 0.0)
    for pattern, on in enumerate(active):
        rows = np.flatnonzero(on)
        if rows.size == 0:
            continue
        # wires[k]: pieces of wire below the k-th selected cell, to the next one or to virtual ground.
        wires = np.diff(np.append(rows, cells.shape[0])) * r_p_hat
        wires[-1] += r_in_hat
        state_on = np.ascontiguousarray(state[rows])
        drop = np.empty(state_on.shape)
        source, slope = at_rest[rows], slope_at_rest[rows]
        norton(source, slope, wires, drop, result[pattern])
        for _ in range(MOST_STEPS if steps is None else steps):
            # Bit-line voltages stay between virtual ground and V_D; a step beyond starts from the end.
            before = np.clip(drop, 0.0, 1.0)
            current, slope = cell.evaluate(state_on, before)
            norton(current + slope * before, slope, wires, drop, result[pattern])
            if steps is None and np.max(np.abs(drop - before)) < TOLERANCE:
                break
        else:
            if steps is None:
                raise CircuitError(
                    f"Newton's method did not settle in {MOST_STEPS} steps at r_p_hat = {r_p_hat:g} and "
                    f"r_in_hat = {r_in_hat:g} with {rows.size} rows on: the last step still moved a voltage by "
                    f"{np.max(np.abs(drop - before)):.2g} V_D."
                )
    return result


@numba.njit(cache=True, nogil=True, error_model="numpy")
def norton(
    source: NDArray[np.float64],
    slope: NDArray[np.float64],
    wires: NDArray[np.float64],
    drop: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    """Solve one pattern's lines of affine cells, all columns together; cell currents are source - slope * drop.

    Args:
        source: currents at rest of the selected cells, farthest from the readout first, shape (cells, columns).
        slope: by how much they fall with the line's voltage, same shape.
        wires: resistance from each selected cell to the next, or to the end, shape (cells,).
        drop: voltages, written; same shape.
        result: currents into the end, written; shape (columns,).
    """
    cells, columns = source.shape
    currents = np.empty((cells, columns))
    conductances = np.empty((cells, columns))
    current = np.zeros(columns)
    conductance = np.zeros(columns)
    for k in range(cells):
        for column in range(columns):
            current[column] += source[k, column]
            conductance[column] += slope[k, column]
            currents[k, column] = current[column]
            conductances[k, column] = conductance[column]
            share = 1.0 / (1.0 + wires[k] * conductance[column])
            current[column] *= share
            conductance[column] *= share
    for column in range(columns):
        result[column] = current[column]
        below = 0.0
        for k in range(cells - 1, -1, -1):
            below = (below + wires[k] * currents[k, column]) / (1.0 + wires[k] * conductances[k, column])
            drop[k, column] = below
